"""/areas through HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.accounts.permissions import Role
from app.areas.datum import from_wgs84
from app.areas.importing import import_areas
from app.areas.schemas import IMPORT_BYTES
from app.core.db import Sessions, new_id
from tests.areas.conftest import SQUARES, TREE, Cast
from tests.conftest import NOON

CSV = {"Content-Type": "text/csv"}


@pytest.fixture
async def seeded(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await import_areas(session, TREE, [SQUARES], at=NOON)


async def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    return body


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/areas?limit=201", 422, "validation-failed"),
        ("/areas?level=planet", 422, "validation-failed"),
        ("/areas?colour=red", 422, "validation-failed"),
        ("/areas?cursor=abc.def", 400, "cursor-invalid"),
        ("/areas/nowhere", 404, "area-not-found"),
        ("/areas/" + "1" * 33, 422, "validation-failed"),
        ("/areas/G1?at=2020-01-01T00:00:00Z", 404, "area-not-found"),
        ("/areas/G1?at=2020-01-01T00:00:00", 422, "validation-failed"),
        ("/areas/locate?lon=106", 422, "validation-failed"),
        ("/areas/locate?lon=nan&lat=35", 422, "validation-failed"),
        ("/areas/locate?lon=106&lat=91", 422, "validation-failed"),
        ("/areas/locate?lon=106&lat=35&datum=mars", 422, "validation-failed"),
        ("/areas/locate?lon=106&lat=35&accuracy_m=-1", 422, "validation-failed"),
        ("/areas/import/00000000-0000-0000-0000-000000000000", 404, "area-import-not-found"),
    ],
)
@pytest.mark.usefixtures("seeded")
async def test_bad_questions_are_refused(
    client: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    await refused(await client.get(path), status, code)


async def test_only_who_manages_areas_may_import(client: httpx.AsyncClient, cast: Cast) -> None:
    cast.role = Role.GRID_WORKER
    await refused(await client.post("/areas/import", content=TREE, headers=CSV), 403, "forbidden")
    await refused(await client.get(f"/areas/import/{new_id()}"), 403, "forbidden")


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("multipart/form-data", b"", 415, "unsupported-media-type"),
        ("", b"x", 415, "unsupported-media-type"),
        ("application/json", b"{", 400, "malformed-json"),
        ("application/json", b'{"csv": 1}', 422, "validation-failed"),
        ("application/json", b'{"csv": "", "more": 1}', 422, "validation-failed"),
        ("application/json", b'{"csv": "", "geometries": [1]}', 422, "validation-failed"),
    ],
)
async def test_other_bodies_are_refused(
    client: httpx.AsyncClient, kind: str, body: bytes, status: int, code: str
) -> None:
    answer = await client.post("/areas/import", content=body, headers={"Content-Type": kind})
    await refused(answer, status, code)


async def endless() -> AsyncIterator[bytes]:
    for _ in range(IMPORT_BYTES // 2**20 + 1):
        yield b"x" * 2**20


async def test_more_than_16_mib_is_refused_announced_or_not(client: httpx.AsyncClient) -> None:
    answer = await client.post("/areas/import", content=endless(), headers=CSV)
    body = await refused(answer, 413, "payload-too-large")
    assert body["limit"] == IMPORT_BYTES
    liar = {**CSV, "Content-Length": str(IMPORT_BYTES + 1)}
    answer = await client.post("/areas/import", content=b"x", headers=liar)
    await refused(answer, 413, "payload-too-large")


@pytest.mark.usefixtures("seeded")
async def test_the_list_is_walked_by_its_link(client: httpx.AsyncClient) -> None:
    codes: list[str] = []
    url = "/areas?limit=4&datum=gcj02"
    while url:
        answer = await client.get(url)
        codes += [item["code"] for item in answer.json()["items"]]
        link = answer.headers.get("link", "")
        assert bool(link) == bool(answer.json()["next"])
        url = link.partition(">")[0].removeprefix("</v1")
    assert codes == sorted(codes)
    assert len(codes) == 9


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("parent=V1", ["G1", "G2"]),
        ("level=village", ["V1", "V2"]),
        ("q=永红", ["G1", "G2", "V1"]),
        ("q=6208", ["6208", "620802"]),
        ("q=%25", []),
        ("q=永红&level=grid", ["G1", "G2"]),
    ],
)
async def test_filters_of_the_list(client: httpx.AsyncClient, query: str, codes: list[str]) -> None:
    answer = await client.get(f"/areas?{query}")
    assert [item["code"] for item in answer.json()["items"]] == codes


@pytest.mark.usefixtures("seeded")
async def test_an_area_is_shown_with_its_polygon_in_the_datum_asked_for(
    client: httpx.AsyncClient,
) -> None:
    plain = (await client.get("/areas/G1")).json()
    assert plain["geometry"] == SQUARES["features"][0]["geometry"]
    assert (plain["lon"], plain["lat"], plain["datum"]) == (106.665, 35.545, "wgs84")
    shifted = (await client.get("/areas/G1?datum=gcj02")).json()
    corner = from_wgs84(106.66, 35.54, "gcj02")
    assert shifted["geometry"]["coordinates"][0][0] == pytest.approx(corner, abs=1e-7)
    assert shifted["lon"] == pytest.approx(from_wgs84(106.665, 35.545, "gcj02")[0], abs=1e-7)


@pytest.mark.usefixtures("seeded")
async def test_an_unchanged_area_is_not_sent_again(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    etag = (await client.get("/areas/V1")).headers["etag"]
    again = await client.get("/areas/V1", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await client.get("/areas/V1?datum=gcj02", headers={"If-None-Match": etag})
    assert other.status_code == 200
    async with sessions.begin() as session:
        renamed = TREE.replace("永红村,", "永红新村,")
        await import_areas(session, renamed, at=NOON + timedelta(days=1))
    changed = await client.get("/areas/V1", headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()["name"]) == (200, "永红新村")
    old = await client.get("/areas/V1", params={"at": NOON.isoformat()})
    assert old.json()["name"] == "永红村"
    assert old.json()["valid_to"] == changed.json()["valid_from"]


@pytest.mark.usefixtures("seeded")
async def test_a_point_is_located_in_any_datum(client: httpx.AsyncClient) -> None:
    for datum in ("wgs84", "gcj02", "bd09", "cgcs2000"):
        lon, lat = from_wgs84(106.665, 35.545, datum)
        point = {"lon": lon, "lat": lat, "datum": datum, "accuracy_m": 12}
        answer = (await client.get("/areas/locate", params=point)).json()
        assert answer["wgs84"]["lon"] == pytest.approx(106.665, abs=1e-6)
        assert answer["grid"] == {"code": "G1", "name": "永红村第1网格"}
        assert answer["village"] == {"code": "V1", "name": "永红村"}
        assert answer["township"] == {"code": "T1", "name": "柳湖镇"}
        assert answer["district"] == {"code": "620802", "name": "崆峒区"}
        assert (answer["uncertain"], answer["candidates"]) == (False, [])


@pytest.mark.usefixtures("seeded")
async def test_an_uncertain_point_keeps_its_candidates(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/areas/locate?lon=106.6698&lat=35.545&accuracy_m=30")).json()
    assert answer["uncertain"]
    assert answer["candidates"] == [
        {"code": "G1", "name": "永红村第1网格", "distance_m": 0.0},
        {"code": "G2", "name": "永红村第2网格", "distance_m": pytest.approx(18.1)},
    ]
