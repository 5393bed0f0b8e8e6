"""V1-V8: every promise broken in turn, in a district where all hold, is found and named.

Each damage is done in a transaction that is rolled back; what the tables' own constraints forbid is
done without them.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import audit
from app.evidence.anchoring import anchor
from app.simulation.ledger import LedgerFile
from app.system.invariants import Violation, check_all
from app.system.ledgers import (
    Ledger,
    Seen,
    acknowledged,
    files_promised,
    files_whole,
    kept_files,
    seen_in_order,
    strays,
)
from tests.conftest import NOON
from tests.district import DatabaseServer, District, new_incident
from tests.incidents.paths import (
    PATHS,
    WORKER,
    form,
    incident_in,
    pass_time,
    photo,
    signed_in,
    walk,
    with_photo,
)

NAMES = ("closed", "open", "ended")
NOW = timedelta()


@dataclass
class Settled:
    """A closed matter with a photo, an open one, a voided one; and one nobody has routed yet."""

    district: District
    ledger: Path
    """What the reporter's phone wrote down."""
    closed: str
    attachment: str
    open: str
    ended: str

    @asynccontextmanager
    async def damaged(self, *statements: str) -> AsyncIterator[AsyncSession]:
        async with self.district.resources.sessions.read() as session:
            for statement in statements:
                names = {name: getattr(self, name) for name in NAMES if f":{name}" in statement}
                await session.execute(text(statement), names)
            yield session

    async def found(self, *statements: str, after: timedelta = NOW) -> set[tuple[str, str]]:
        async with self.damaged(*statements) as session:
            violations = await check_all(session, self.district.clock.now() + after)
        return {(each.invariant, each.what) for each in violations}


@pytest.fixture(scope="module")
async def settled(
    server: DatabaseServer, district_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Settled]:
    name = server.create(template=district_template)
    async with District.opened(server.url(name), NOON) as district:
        meta, files = with_photo(photo())
        (attachment,) = files
        worker = await signed_in(district, WORKER)
        answer = await worker.post("/v1/incidents", files=form(meta, files))
        assert answer.status_code == 201
        await district.drain()
        await walk(district, meta["id"], *PATHS["closed"])
        opened = (await district.report())["id"]
        ended = await incident_in(district, "voided")
        await _anchor_twice(district)
        worker = await signed_in(district, WORKER)
        assert (await worker.post("/v1/incidents", json=new_incident())).status_code == 201
        ledger = tmp_path_factory.mktemp("ledgers") / "phone.jsonl"
        await _write_down(worker, ledger, answer.json())
        yield Settled(district, ledger, meta["id"], attachment, opened, ended)
    server.drop(name)


async def _anchor_twice(district: District) -> None:
    """Two nights, the audit trail going on between them."""
    for _ in range(2):
        async with district.resources.sessions.begin() as session:
            at = district.clock.now()
            await audit.note(session, at=at, actor_id=None, action="x", target=("unit", at))
        await pass_time(district, timedelta(days=1))
        await anchor(district.resources)


async def _write_down(phone: httpx.AsyncClient, path: Path, receipt: dict[str, Any]) -> None:
    """The receipt and everything the phone was told, as a phone writes it."""
    me = (await phone.get("/v1/me")).json()["person"]["id"]
    with LedgerFile(path) as ledger:
        stored = {UUID(each["id"]): each["sha256"] for each in receipt["attachments"]}
        ledger.receipt(UUID(receipt["id"]), receipt["number"], stored)
        for item in (await phone.get("/v1/inbox", params={"limit": 200})).json()["items"]:
            ledger.notice(me, "phone", item)


async def test_what_holds_is_not_complained_of(settled: Settled) -> None:
    assert await settled.found() == set()


FREE = "SET LOCAL session_replication_role = replica"
"""The history is append-only, for everybody who does not say this."""
DAMAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "V1 twice the same id": (
        (
            "ALTER TABLE incidents DROP CONSTRAINT pk_incidents CASCADE",
            "ALTER TABLE incidents DROP CONSTRAINT uq_incidents_number",
            "INSERT INTO incidents SELECT * FROM incidents WHERE id = :closed",
        ),
        "the incident is there more than once",
    ),
    "V1 announced twice": (
        (
            """INSERT INTO domain_events (name, subject_id, payload, occurred_at, processed_at)
            SELECT name, subject_id, payload, occurred_at, processed_at FROM domain_events
            WHERE subject_id = :closed AND name = 'incident.reported'""",
        ),
        "reported more than once",
    ),
    "V2 another digest": (
        ("UPDATE media_files SET sha256 = decode(repeat('00', 32), 'hex')",),
        "not the file of the manifest",
    ),
    "V2 another size": (
        ("UPDATE media_files SET size = size + 1",),
        "not the file of the manifest",
    ),
    "V2 a file that is not stored": (
        ("UPDATE media_files SET state = 'rejected'",),
        "not the file of the manifest",
    ),
    "V2 no file": (
        ("UPDATE incident_media SET media_id = NULL",),
        "not the file of the manifest",
    ),
    "V3 another owner": (
        (
            """UPDATE incidents SET owner_unit_id =
            (SELECT id FROM units WHERE id <> owner_unit_id LIMIT 1) WHERE id = :open""",
        ),
        "the owner is not the current step's unit",
    ),
    "V3 two steps": (
        (
            "DROP INDEX uq_steps_current",
            """INSERT INTO steps (id, incident_id, unit_id, opened_by, state, opened_at)
            SELECT gen_random_uuid(), incident_id, unit_id, opened_by, state, opened_at
            FROM steps WHERE incident_id = :open""",
        ),
        "more than one step is open",
    ),
    "V3 a step of what has ended": (
        ("UPDATE steps SET ended_at = NULL WHERE incident_id = :ended",),
        "a final matter has an open step",
    ),
    "V3 a step that is lost": (
        ("UPDATE steps SET ended_at = opened_at WHERE incident_id = :open",),
        "the current step has ended or is not there",
    ),
    "V3 routed twice": (
        (
            FREE,
            "UPDATE history_entries SET action = 'route' WHERE incident_id = :closed",
        ),
        "routed more than once",
    ),
    "V4 a gap": (("DELETE FROM notices WHERE seq = 2",), "the inbox has gaps"),
    "V4 a head that is not there": (
        ("UPDATE inboxes SET head_seq = head_seq + 1",),
        "the inbox has gaps",
    ),
    "V4 acknowledged too far": (
        ("UPDATE inboxes SET acked_seq = head_seq + 1",),
        "acknowledged beyond the head",
    ),
    "V6 no such move": (
        (
            FREE,
            """UPDATE history_entries SET to_state = 'submitted'
            WHERE incident_id = :closed AND action = 'sign'""",
        ),
        "a move that is not in the table",
    ),
    "V6 an entry missing": (
        (FREE, "DELETE FROM history_entries WHERE incident_id = :closed AND seq = 2"),
        "an entry does not begin where the one before ended",
    ),
    "V6 another state": (
        ("UPDATE incidents SET state = 'accepted' WHERE id = :closed",),
        "the incident's state is not where its history ends",
    ),
    "V7 an event forgotten": (
        ("UPDATE domain_events SET processed_at = NULL, recorded_at = '2000-01-01Z'",),
        "an event waits for more than 60 s",
    ),
    "V7 a reaction given up": (
        (
            """INSERT INTO parked_reactions (event_id, reaction, subject_id, attempts, error)
            SELECT max(id), 'tell', :closed, 5, 'x' FROM domain_events""",
        ),
        "a reaction was given up",
    ),
    "V7 a reporter who was not told": (
        ("DELETE FROM notices WHERE incident_id = :closed",),
        "the reporter was not told",
    ),
    "V8 an altered entry": (
        (
            FREE,
            """UPDATE history_entries SET actor_name = 'somebody else'
            WHERE incident_id = :closed AND seq = 3""",
        ),
        "the chain breaks at entry 3",
    ),
    "V8 the last entry cut off": (
        (
            FREE,
            """DELETE FROM history_entries WHERE incident_id = :closed AND seq =
            (SELECT max(seq) FROM history_entries WHERE incident_id = :closed)""",
        ),
        "the chain does not end at its head",
    ),
    "V8 other words": (
        (FREE, "UPDATE history_entries SET text = 'x' WHERE incident_id = :closed AND seq = 1"),
        "words that are not the ones hashed",
    ),
    "V8 an altered line of the audit trail": (
        (FREE, "UPDATE audit_entries SET action = 'x' WHERE chain_seq = 3"),
        "the audit trail's chain breaks at entry 3",
    ),
    "V8 a line of the audit trail removed": (
        (FREE, "DELETE FROM audit_entries WHERE chain_seq = 3"),
        "the audit trail's chain breaks at entry 3",
    ),
    "V8 the audit trail cut off": (
        (
            FREE,
            """DELETE FROM audit_entries
            WHERE chain_seq = (SELECT max(chain_seq) FROM audit_entries)""",
        ),
        "the audit trail is not the one that was anchored",
    ),
    "V8 a line nobody sealed": (
        (
            """INSERT INTO audit_entries (at, action, object_kind, object_id, facts)
            VALUES ('2026-03-11Z', 'x', 'x', 'x', '{}')""",
        ),
        "an entry of the audit trail waits for its seal",
    ),
    "V8 an altered anchor": (
        (FREE, "UPDATE anchors SET night = '2026-01-01' WHERE seq = 1"),
        "the anchors' chain breaks",
    ),
    "V8 an anchor missing": (
        (FREE, "DELETE FROM anchors WHERE seq = 1"),
        "the anchors' chain breaks",
    ),
    "V8 an anchored head that is another": (
        (FREE, "UPDATE anchored_leaves SET digest = sha256('') WHERE incident_id = :closed"),
        "an anchor's leaves are others",
    ),
    "V8 a leaf missing": (
        (FREE, "DELETE FROM anchored_leaves WHERE incident_id = :open"),
        "an anchor's leaves are others",
    ),
    "V8 an anchored entry that is another": (
        (
            FREE,
            """UPDATE history_entries SET hash = sha256('') WHERE incident_id = :closed AND seq =
            (SELECT history_seq FROM incidents WHERE id = :closed)""",
        ),
        "an anchored head is not that entry's hash any more",
    ),
    "V8 an anchored entry that is gone": (
        (FREE, "DELETE FROM history_entries WHERE incident_id = :ended"),
        "an anchored head is not that entry's hash any more",
    ),
    "V8 an anchored file that is another": (
        ("UPDATE media_files SET sha256 = sha256('')",),
        "an anchored file has another digest now",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_v1_v2_v3_v4_v6_v7_v8_what_is_broken_is_named(settled: Settled, damage: str) -> None:
    statements, what = DAMAGES[damage]
    assert (damage.split(maxsplit=1)[0], what) in await settled.found(*statements)


async def test_v3_what_nobody_routes_is_late_after_a_minute(settled: Settled) -> None:
    assert await settled.found(after=timedelta(seconds=59)) == set()
    late = await settled.found(after=timedelta(seconds=61))
    assert ("V3", "not routed within 60 s") in late


async def test_v7_what_the_relay_leaves_is_late_after_a_minute(settled: Settled) -> None:
    told = ("V7", "an event waits for more than 60 s")
    assert told not in await settled.found(after=timedelta(seconds=59))
    # the outbox is stamped by the database's own clock
    assert told in await settled.found("UPDATE domain_events SET recorded_at = '2000-01-01Z'")


# --- what phones wrote down -----------------------------------------------------------------------


def _ledger(settled: Settled, **changes: str) -> Ledger:
    """The phone's ledger, with words in it changed."""
    lines = settled.ledger.read_text()
    for old, new in changes.items():
        lines = lines.replace(getattr(settled, old), new)
    return Ledger.read(lines.splitlines())


async def _complaints(settled: Settled, ledger: Ledger) -> list[Violation]:
    async with settled.damaged() as session:
        return [
            *await acknowledged(session, ledger),
            *await files_promised(session, ledger),
            *await seen_in_order(session, ledger),
        ]


async def test_v1_v2_v4_a_true_ledger_is_not_complained_of(settled: Settled) -> None:
    ledger = _ledger(settled)
    assert (len(ledger.numbers), len(ledger.digests)) == (1, 1)
    assert [len(seen) > 3 for seen in ledger.seen.values()] == [True]
    assert await _complaints(settled, ledger) == []


async def test_v1_what_was_acknowledged_and_is_not_there_is_named(settled: Settled) -> None:
    lost = str(uuid4())
    (found,) = [
        each
        for each in await _complaints(settled, _ledger(settled, closed=lost))
        if each.invariant == "V1"
    ]
    assert found.subject == lost
    assert "held as []" in found.what
    ledger = _ledger(settled)
    ledger.numbers[UUID(settled.closed)].add("620802105-20260311-9999")
    (found,) = await _complaints(settled, ledger)
    assert (found.invariant, found.subject) == ("V1", settled.closed)


async def test_v2_a_promised_file_that_is_another_or_missing_is_named(settled: Settled) -> None:
    ledger = _ledger(settled)
    ledger.digests[UUID(settled.attachment)] = "0" * 64
    ledger.digests[lost := uuid4()] = "0" * 64
    found = await _complaints(settled, ledger)
    assert {each.invariant for each in found} == {"V2"}
    assert {each.subject for each in found} == {settled.attachment, str(lost)}


async def test_v4_notices_missed_out_of_order_or_changed_are_named(settled: Settled) -> None:
    spoils: tuple[Callable[[list[Seen]], object], ...] = (
        lambda seen: seen.pop(1),
        lambda seen: seen.insert(2, seen.pop(1)),
        lambda seen: seen.append(seen[-1]),
    )
    for spoil in spoils:
        ledger = _ledger(settled)
        (seen,) = ledger.seen.values()
        spoil(seen)
        (found,) = await _complaints(settled, ledger)
        assert (found.invariant, found.subject) == ("V4", "phone")
        assert "not 1…n in order" in found.what
    ledger = _ledger(settled)
    (seen,) = ledger.seen.values()
    seen[0] = replace(seen[0], type="incident.merged")
    (found,) = await _complaints(settled, ledger)
    assert "1 are others now, first 1" in found.what


def test_what_is_no_ledger_is_refused() -> None:
    for line in (b"{", b"[]", b'{"kind": "receipt"}', b'{"kind": "rumour", "id": "x"}'):
        with pytest.raises(ValueError, match=r"."):
            Ledger.read([line])


# --- the bytes themselves -------------------------------------------------------------------------


async def test_v2_bytes_that_changed_or_are_gone_are_named(settled: Settled) -> None:
    store = settled.district.store
    async with settled.damaged() as session:
        (file,) = await kept_files(session)
        assert await strays(session, store) == []
    kept = store.objects[file.object_key]
    assert [each async for each in files_whole(store, [file])] == []
    try:
        store.objects[file.object_key] = replace(kept, body=kept.body[:-1] + b"x")
        (found,) = [each async for each in files_whole(store, [file])]
        assert (found.invariant, found.what) == ("V2", "the stored bytes are others")
        del store.objects[file.object_key]
        (found,) = [each async for each in files_whole(store, [file])]
        assert (found.invariant, found.what) == ("V2", "the object is gone")
    finally:
        store.objects[file.object_key] = kept


async def test_v8_a_seal_is_late_after_ten_minutes(settled: Settled) -> None:
    line = "INSERT INTO audit_entries (at, action, object_kind, object_id, facts)"
    at = settled.district.clock.now().isoformat()
    statement = f"{line} VALUES ('{at}', 'x', 'x', 'x', '{{}}')"
    late = ("V8", "an entry of the audit trail waits for its seal")
    assert late not in await settled.found(statement, after=timedelta(minutes=10))
    assert late in await settled.found(statement, after=timedelta(minutes=10, seconds=1))
