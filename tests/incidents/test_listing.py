"""H5: lists of incidents page by page, while new ones come in."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from app.incidents.list_schemas import ListQuery
from tests.district import District
from tests.incidents.paths import WORKER, signed_in

Json = dict[str, Any]


async def _following(client: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response | None:
    """The next page, by its Link; the body's cursor is the same."""
    link = answer.headers.get("link")
    cursor = answer.json()["next"]
    if link is None:
        assert cursor is None
        return None
    target, _, relation = link.partition("; ")
    assert relation == 'rel="next"'
    url = target.strip("<>")
    assert parse_qs(urlsplit(url).query)["cursor"] == [cursor]
    return await client.get(url)


async def test_h5_pages_are_stable_while_new_ones_come_in(district: District) -> None:
    """Newest first and oldest first: whoever was there at the start is met exactly once."""
    known = [(await district.report())["id"] for _ in range(7)]
    worker = await signed_in(district, WORKER)
    for sort in ("-received_at", "received_at"):
        before, seen = list(known), []
        page: httpx.Response | None = await worker.get(
            "/v1/incidents", params={"limit": 2, "sort": sort, "mine": True}
        )
        while page is not None:
            assert page.status_code == 200
            assert len(page.json()["items"]) <= 2
            seen += [item["id"] for item in page.json()["items"]]
            if len(known) < 11:
                known.append((await district.report())["id"])
            page = await _following(worker, page)
        assert len(seen) == len(set(seen))
        assert [id_ for id_ in seen if id_ in before] == (
            before if sort == "received_at" else before[::-1]
        )


async def test_h5_there_is_no_offset_and_no_total(district: District) -> None:
    worker = await signed_in(district, WORKER)
    await district.report()
    for wrong in ({"offset": 1}, {"page": 2}, {"limit": 0}, {"limit": 201}):
        assert (await worker.get("/v1/incidents", params=wrong)).status_code == 422
    assert set((await worker.get("/v1/incidents")).json()) == {"items", "next"}
    assert not {"offset", "page", "total"} & set(ListQuery.model_fields)


async def test_h5_a_cursor_is_good_for_its_own_question_only(district: District) -> None:
    for _ in range(2):
        await district.report()
    worker = await signed_in(district, WORKER)
    first = await worker.get("/v1/incidents", params={"limit": 1})
    cursor = first.json()["next"]
    others: list[Json] = [{"sort": "received_at"}, {"mine": True}, {"category": "02"}]
    for other in others:
        answer = await worker.get("/v1/incidents", params={"cursor": cursor, **other})
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor-invalid")
    desk = await signed_in(district, "desk-liuhu")
    answer = await desk.get("/v1/incidents", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "cursor-invalid")
