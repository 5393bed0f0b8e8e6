"""U19: what was allowed when an upload began is asked again when its last byte has come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from app.accounts.models import LoginSession, Person, RoleHolding
from app.accounts.permissions import Role
from app.accounts.queries import unit_by_ref
from app.accounts.recognition import CallerCache
from app.core.db import new_id
from app.core.resources import Resources
from app.core.settings import MIB, IntakeSettings
from app.incidents.taking_up import TakingUp
from app.main import create_app
from tests.district import YONGHONG, YONGHONG_GRID, District
from tests.incidents.listening import Answer, Served, served
from tests.incidents.paths import WORKER, hire, incident_in, listed, look, photo, signed_in
from tests.incidents.uploading import Phone, picture_of, refused, reported, row_of


@pytest.fixture(scope="module")
async def narrow(shared_district: District) -> AsyncIterator[Served]:
    """A matter takes twelve files and 1 MiB here."""
    given = shared_district.resources
    limits = IntakeSettings(matter_files=12, matter_bytes=MIB)
    settings = given.settings.model_copy(update={"intake": limits})
    resources = Resources(settings, given.sessions, given.store, given.wakeups, given.clock)
    district = replace(shared_district, resources=resources, app=create_app(resources), _clients={})
    async with served(district) as here:
        yield here


@asynccontextmanager
async def _last_byte_missing(phone: Phone, url: str, body: bytes) -> AsyncIterator[list[Answer]]:
    """All but the last byte is there; after the block it comes, and is answered."""
    assert (await phone.patch(url, 0, body[:-1])).status == 204
    answers: list[Answer] = []
    yield answers
    answers.append(await phone.patch(url, len(body) - 1, body[-1:]))


async def _state(phone: Phone, incident: str, who: str = WORKER) -> str:
    shown = await look(phone.served.district, who, incident)
    return str(shown["attachments"][-1]["state"])


async def test_u19_a_right_that_was_lost_meanwhile(door: Served) -> None:
    """The bytes are refused, and said to be; with the right given back they can be sent again."""
    district = door.district
    name = f"worker-{new_id().hex[:8]}"
    person = await hire(district, name, (Role.GRID_WORKER, YONGHONG), grid_codes=(YONGHONG_GRID,))
    phone = await Phone.of(door, name)
    file = listed(photo())
    incident = (await district.report(name, attachments=[file]))["id"]
    url = await phone.created(len(photo()), incident_id=incident, attachment_id=file["id"])
    await phone.patch(url, 0, photo()[:10])
    async with phone.sending(url, 10, len(photo()) - 10, photo()[10:20]) as wire:
        await asyncio.sleep(0.1)
        await _take_roles(district, person)
        await wire.send(photo()[20:])
        refused(await wire.answer(), 403, "forbidden")
    row = await row_of(door, url)
    assert (row.state, row.refusal) == ("rejected", "forbidden")
    assert row.object_key not in district.store.objects
    await _give_role(district, person)
    assert await _state(phone, incident, name) == "rejected"
    again = await Phone.of(door, name)
    anew = await again.created(len(photo()), incident_id=incident, attachment_id=file["id"])
    assert anew != url
    assert (await again.patch(anew, 0, photo())).status == 204
    assert await _state(phone, incident, name) == "stored"


async def _take_roles(district: District, person: UUID) -> None:
    async with district.resources.sessions.begin() as session:
        await session.execute(delete(RoleHolding).where(RoleHolding.person_id == person))
    district.resources.the(CallerCache).clear()


async def _give_role(district: District, person: UUID) -> None:
    async with district.resources.sessions.begin() as session:
        unit = await unit_by_ref(session, YONGHONG)
        assert unit is not None
        session.add(RoleHolding(person_id=person, unit_id=unit.id, role=Role.GRID_WORKER))
    district.resources.the(CallerCache).clear()


async def test_u19_a_matter_that_has_ended_takes_no_more_evidence(door: Served) -> None:
    """What its manifest promised it still takes."""
    phone = await Phone.of(door)
    promised = listed(photo())
    incident = await incident_in(door.district, "submitted", attachments=[promised])
    body = photo(2)
    late = await phone.created(len(body), incident_id=incident, attachment_id=new_id())
    listed_one = await phone.created(
        len(photo()), incident_id=incident, attachment_id=promised["id"]
    )
    async with _last_byte_missing(phone, late, body) as answers:
        done = await door.district.act(WORKER, incident, "withdraw")
        assert done.status_code == 200, done.text
    refused(answers[0], 409, "action-not-allowed")
    assert (await row_of(door, late)).refusal == "action-not-allowed"
    assert (await phone.patch(listed_one, 0, photo())).status == 204


async def test_u19_files_beyond_what_a_matter_takes(narrow: Served) -> None:
    """Begun while there was room; the one that is whole first has the last place."""
    phone = await Phone.of(narrow)
    incident = (await narrow.district.report(attachments=[listed(photo(n)) for n in range(11)]))[
        "id"
    ]
    first, second = [
        await phone.created(len(photo(n)), incident_id=incident, attachment_id=new_id())
        for n in (20, 21)
    ]
    async with _last_byte_missing(phone, second, photo(21)) as answers:
        assert (await phone.patch(first, 0, photo(20))).status == 204
    refused(answers[0], 413, "incident-full")
    assert answers[0].json["files"] == 12
    row = await row_of(narrow, second)
    assert (row.state, row.refusal) == ("rejected", "incident-full")
    assert row.object_key not in narrow.district.store.objects
    refused(
        await phone.create(9, incident_id=incident, attachment_id=new_id()), 413, "incident-full"
    )
    client = await signed_in(narrow.district, WORKER)
    url = f"/v1/incidents/{incident}/attachments/{new_id()}"
    assert (await client.put(url, content=photo())).status_code == 413


async def test_u19_of_many_at_once_only_as_many_as_there_is_room_for(narrow: Served) -> None:
    phone = await Phone.of(narrow)
    incident = (await narrow.district.report(attachments=[listed(photo(n)) for n in range(10)]))[
        "id"
    ]
    urls = [
        await phone.created(len(photo(n)), incident_id=incident, attachment_id=new_id())
        for n in range(30, 36)
    ]
    answers = await asyncio.gather(
        *(phone.patch(url, 0, photo(n)) for n, url in enumerate(urls, 30))
    )
    assert sorted(answer.status for answer in answers) == [204, 204, 413, 413, 413, 413]
    shown = await look(narrow.district, WORKER, incident)
    assert len(shown["attachments"]) == 12


async def test_u19_bytes_beyond_what_a_matter_takes(narrow: Served) -> None:
    """A file of the manifest too: its place says so, and nothing of it is left in the store."""
    phone = await Phone.of(narrow)
    bodies = [picture_of(600_000, seed) for seed in (1, 2)]
    files = [listed(body) for body in bodies]
    incident = (await narrow.district.report(attachments=files))["id"]
    urls = [
        await phone.created(len(body), incident_id=incident, attachment_id=file["id"])
        for body, file in zip(bodies, files, strict=True)
    ]
    async with _last_byte_missing(phone, urls[1], bodies[1]) as answers:
        assert (await phone.patch(urls[0], 0, bodies[0])).status == 204
    refused(answers[0], 413, "incident-full")
    assert answers[0].json["bytes"] == MIB
    assert await phone.offset(urls[1]) == len(bodies[1])
    assert await _state(phone, incident) == "rejected"
    assert (await row_of(narrow, urls[1])).object_key not in narrow.district.store.objects
    refused(
        await phone.create(600_000, incident_id=incident, attachment_id=files[1]["id"]),
        413,
        "incident-full",
    )


async def test_u19_the_worker_asks_for_rights_too(door: Served) -> None:
    """It finishes nothing by the right of a sign-in that has ended, and loses nothing either."""
    phone = await Phone.of(door, "worker-minxin")
    district = door.district
    body = picture_of(3000)
    file = listed(body)
    incident = (await district.report("worker-minxin", attachments=[file]))["id"]
    url = await phone.created(len(body), incident_id=incident, attachment_id=file["id"])
    district.store.size_lie = 1
    try:
        assert (await phone.patch(url, 0, body)).status == 503
    finally:
        district.store.size_lie = 0
    district.clock.advance(timedelta(minutes=1))
    await _end_sessions(district, "worker-minxin")
    assert await TakingUp(district.resources).work() == 0
    assert (await row_of(door, url)).state == "verifying"
    district.resources.the(CallerCache).clear()
    district.app.state._state.pop("signed_in", None)  # noqa: SLF001 - as `signed_in` keeps it
    again = await Phone.of(door, "worker-minxin")
    assert await again.offset(url) == len(body)
    assert await _state(again, incident, "worker-minxin") == "stored"


async def _end_sessions(district: District, who: str) -> None:
    person = select(Person.id).where(Person.username == who).scalar_subquery()
    async with district.resources.sessions.begin() as session:
        await session.execute(
            update(LoginSession)
            .where(LoginSession.person_id == person)
            .values(revoked_at=district.clock.now())
        )


async def test_u19_reported_is_what_the_answer_said(door: Served) -> None:
    """Who missed the answer sees it in the report, and is told again when it begins anew."""
    phone = await Phone.of(door)
    body = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    incident, file = await reported(door, body)
    url = await phone.created(len(body), incident_id=incident, attachment_id=file)
    await phone.cut_after(url, 0, body, len(body))
    async with asyncio.timeout(10):
        while (await row_of(door, url)).state != "rejected":  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert await _state(phone, incident) == "rejected"
    assert await phone.offset(url) == len(body)
