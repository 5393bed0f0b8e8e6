"""U17, F8: one call to the store fails, and then the next: what was acknowledged is still there."""

import pytest

from app.core.object_store import StoreUnavailable
from tests.incidents.paths import WORKER, look
from tests.incidents.uploading import Phone, object_of, picture_of, reported, row_of

MIB = 1024 * 1024
IN_PARTS = (MIB, 7 * MIB, 11 * MIB)
AS_ONE = (300_000, 2_000_000)
CALLS = [*((IN_PARTS, n) for n in range(1, 9)), *((AS_ONE, n) for n in range(1, 6))]


async def _sent(phone: Phone, url: str, body: bytes, ends: tuple[int, ...]) -> int:
    """As far as it was acknowledged; each request once, the rest by what was told."""
    known = 0
    for end in ends:
        answer = await phone.patch(url, known, body[known:end])
        assert answer.status in {204, 503}, answer
        told = int(answer.headers["upload-offset"])
        assert told >= known
        known = told
    return known


@pytest.mark.parametrize(("ends", "number"), CALLS)
async def test_u17_f8_a_store_that_refuses_any_one_call_loses_nothing_acknowledged(
    phone: Phone, ends: tuple[int, ...], number: int
) -> None:
    store = phone.served.district.store
    body = picture_of(ends[-1], number)
    incident, file = await reported(phone.served, body)
    url = await phone.created(len(body), incident_id=incident, attachment_id=file)
    began, failing = store.calls, False
    call = store._call  # noqa: SLF001 - exactly one failure

    async def fail_once() -> None:
        nonlocal failing
        await call()
        if store.calls == began + number:
            failing = True
            raise StoreUnavailable("injected")

    store._call = fail_once  # type: ignore[method-assign]  # noqa: SLF001 - as above
    known = await _sent(phone, url, body, ends)
    assert failing
    assert await phone.offset(url) >= known
    if known < len(body):
        assert (await phone.patch(url, known, body[known:])).status == 204
    await phone.offset(url)
    assert (await row_of(phone.served, url)).state == "stored"
    assert await object_of(phone.served, url) == body
    shown = await look(phone.served.district, WORKER, incident)
    assert shown["attachments"][0]["state"] == "stored"
