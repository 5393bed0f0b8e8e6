"""Ways that bring a matter into each state, people hired for a test, bodies with files."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import orjson
from sqlalchemy import select

from app.accounts.enrolment import create_person
from app.accounts.models import FormerPassword, Person, Unit
from app.accounts.permissions import Role
from app.accounts.queries import unit_by_ref
from app.accounts.recognition import CallerCache
from app.core.audit_sealing import Sealing
from app.core.db import new_id
from app.core.events import OutboxRow
from app.incidents.models import HistoryEntry, Incident, Step
from app.media.samples import picture
from app.routing.escalation import Clocks
from tests.district import POLICE_LIUHU, YONGHONG_GRID, District, new_incident
from tests.make import password_hash

Move = tuple[str, str, dict[str, Any]]
"""Who, action, fields."""

WORKER, DESK, TOWNSHIP, POLICE, TOP = (
    "worker-yonghong",
    "desk-yonghong",
    "desk-liuhu",
    "police-liuhu",
    "desk-kongtong",
)
LEADER = "supervisor-kongtong"
OUTSIDER = "worker-minxin"

UP: Move = (DESK, "escalate", {"reason": "需要镇里协调"})
ACCEPT: Move = (TOWNSHIP, "accept", {})
DISPATCH: Move = (TOWNSHIP, "dispatch", {"to_unit": POLICE_LIUHU})
SIGN: Move = (POLICE, "sign", {})
COMPLETE: Move = (POLICE, "complete", {"outcome": "杂物已清，通道畅通"})
SUSPEND: Move = (TOWNSHIP, "suspend", {"reason": "待汛期结束", "review_on": "2026-04-30"})
PASS: Move = (TOWNSHIP, "verify_pass", {})

TOKEN_LIFE = timedelta(minutes=13)
"""A token is good for fifteen."""

PATHS: dict[str, tuple[Move, ...]] = {
    "submitted": (),
    "returned": ((DESK, "return", {"reason": "位置不清"}),),
    "rejected": ((DESK, "reject", {"reason": "不属受理范围"}),),
    "voided": ((WORKER, "withdraw", {}),),
    "accepted": (UP, ACCEPT),
    "dispatched": (UP, ACCEPT, DISPATCH),
    "in_progress": (UP, ACCEPT, DISPATCH, SIGN),
    "handled": (UP, ACCEPT, DISPATCH, SIGN, COMPLETE),
    "closed": (UP, ACCEPT, DISPATCH, SIGN, COMPLETE, PASS),
    "suspended": (UP, ACCEPT, DISPATCH, SIGN, SUSPEND),
    "transferred": (
        (DESK, "transfer", {"external_body": "区人民法院", "receipt_number": "2026-15"}),
    ),
    "merged": (),
    "archived": (UP, ACCEPT, DISPATCH, SIGN, COMPLETE, PASS),
}
"""How to get into a state; `incident_in` knows the other matter or the time that some need."""


async def signed_in(district: District, who: str) -> httpx.AsyncClient:
    """As `district.client`, without asking the server each time whether the token still lives."""
    kept: dict[str, tuple[httpx.AsyncClient, datetime]] = district.app.state._state.setdefault(  # noqa: SLF001 - where a state keeps what it is given
        "signed_in", {}
    )
    now = district.clock.now()
    client, since = kept.get(who, (None, now))
    if client is None or not since <= now < since + TOKEN_LIFE:
        client = await district.client(who)
        kept[who] = (client, now)
    return client


async def walk(district: District, incident_id: str, *moves: Move) -> dict[str, Any]:
    """Carry out the moves, each of which must succeed; the incident as the last one left it."""
    shown: dict[str, Any] = {}
    for who, action, fields in moves:
        seen = shown or await look(district, who, incident_id)
        body = {"action": action, "revision": seen["revision"], **fields}
        answer = await send(district, who, incident_id, body)
        assert answer.status_code == 200, (action, answer.text)
        shown = answer.json()
    if moves:
        await district.drain()
    return shown


async def incident_in(district: District, state: str, **changes: Any) -> str:
    """The id of a new matter that has been brought into this state."""
    incident_id: str = (await district.report(**changes))["id"]
    await walk(district, incident_id, *PATHS[state])
    if state == "merged":
        master = (await district.report(**changes))["id"]
        await walk(district, incident_id, (DESK, "merge", {"into": master}))
    if state == "archived":
        await archive(district, incident_id)
    return incident_id


async def archive(district: District, incident_id: str) -> None:
    """Its rating window ends now, and no other matter's."""
    async with district.resources.sessions.begin() as session:
        incident = await session.get_one(Incident, UUID(incident_id))
        incident.wakes_at = district.clock.now() - timedelta(days=3650)
    await Clocks(district.resources)._wake_one()  # noqa: SLF001 - the one that has waited longest
    await district.drain()


async def pass_time(district: District, by: timedelta = timedelta()) -> int:
    """Let time pass; then the workers do what is due."""
    district.clock.advance(by)
    woken = await Clocks(district.resources).work()
    await Sealing(district.resources.sessions).work()
    await district.drain()
    return woken


async def send(
    district: District, who: str, incident_id: str, body: dict[str, Any], **kwargs: Any
) -> httpx.Response:
    """A transition exactly as written, without a revision looked up."""
    client = await signed_in(district, who)
    return await client.post(f"/v1/incidents/{incident_id}/transitions", json=body, **kwargs)


async def look(district: District, who: str, incident_id: str) -> dict[str, Any]:
    answer = await (await signed_in(district, who)).get(f"/v1/incidents/{incident_id}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def say_why(district: District, who: str, incident_id: str) -> None:
    """Open what a sealed matter says, for this person and a while."""
    client = await signed_in(district, who)
    body = {"reason": "核对车牌号码"}
    answer = await client.post(f"/v1/incidents/{incident_id}/openings", json=body)
    assert answer.status_code == 201, answer.text


async def hire(
    district: District,
    username: str,
    *held: tuple[Role, str],
    grid_codes: tuple[str, ...] = (),
) -> UUID:
    """Somebody new who holds the roles in the units of these codes, with everybody's password."""
    at = district.clock.now()
    async with district.resources.sessions.begin() as session:
        holdings = [(role, (await found_unit(session, code)).id) for role, code in held]
        person = await create_person(
            session,
            at=at,
            username=username,
            name=username,
            holdings=holdings,
            grid_codes=grid_codes,
        )
        person.password_hash = password_hash("Etong-demo-1")
        session.add(
            FormerPassword(person_id=person.id, password_hash=person.password_hash, set_at=at)
        )
    district.resources.the(CallerCache).clear()
    return person.id


async def found_unit(session: Any, code: str) -> Unit:
    unit = await unit_by_ref(session, code)
    assert unit is not None, code
    return unit


async def person_id(district: District, username: str) -> UUID:
    async with district.resources.sessions.read() as session:
        found = await session.scalar(select(Person.id).where(Person.username == username))
    assert found is not None
    return found


class Rows:
    """What the database holds of one incident."""

    def __init__(
        self,
        incident: Incident,
        steps: list[Step],
        history: list[HistoryEntry],
        events: list[OutboxRow],
    ) -> None:
        self.incident, self.steps, self.history, self.events = incident, steps, history, events

    @property
    def current(self) -> list[Step]:
        """Without those that stand beside it."""
        return [step for step in self.steps if step.ended_at is None and step.assists is None]


async def rows_of(district: District, incident_id: str) -> Rows:
    key = UUID(incident_id)
    async with district.resources.sessions.read() as session:
        steps = await session.scalars(
            select(Step).where(Step.incident_id == key).order_by(Step.opened_at, Step.id)
        )
        history = await session.scalars(
            select(HistoryEntry).where(HistoryEntry.incident_id == key).order_by(HistoryEntry.seq)
        )
        events = await session.scalars(
            select(OutboxRow).where(OutboxRow.subject_id == key).order_by(OutboxRow.id)
        )
        return Rows(
            await session.get_one(Incident, key),
            list(steps.all()),
            list(history.all()),
            list(events.all()),
        )


def photo(seed: int = 1) -> bytes:
    return picture(seed, "png", (16, 16))


def listed(body: bytes, **changes: Any) -> dict[str, Any]:
    """A manifest entry for these bytes."""
    return {
        "id": str(new_id()),
        "kind": "photo",
        "name": "现场.png",
        "size": len(body),
        "sha256": sha256(body).hexdigest(),
    } | changes


def form(
    meta: dict[str, Any], files: dict[str, bytes], name: str = "现场.png"
) -> list[tuple[str, tuple[str | None, bytes, str]]]:
    """Parts as httpx takes them: meta first, then one file a part named by its attachment."""
    parts: list[tuple[str, tuple[str | None, bytes, str]]] = [
        ("meta", (None, orjson.dumps(meta), "application/json"))
    ]
    parts += [(id_, (name, body, "image/png")) for id_, body in files.items()]
    return parts


def with_photo(
    body: bytes | None = None, **changes: Any
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A report with one photo: its meta and its files by attachment id."""
    body = photo() if body is None else body
    file = listed(body)
    return new_incident(attachments=[file], **changes), {file["id"]: body}


SEALED: dict[str, Any] = {
    "category": "0301",
    "text": "夜间有人撬车盗窃",
    "place": {"grid_code": YONGHONG_GRID},
}
"""A tip of root 03: only its reporter and the units with a step know it exists."""
