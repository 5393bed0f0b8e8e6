"""What must hold at any time (4-reliability, V1-V8): the same questions in tests and `etong check`.

Read only. Each question gives violations, at most `MOST` of a kind: the first is enough to know.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.evidence.flaws import flaws
from app.incidents.chain import first_break, texts_digest
from app.incidents.models import HistoryEntry, Incident
from app.incidents.status import FINAL, edges

MOST = 50
ROUTED_WITHIN = timedelta(seconds=60)
SENT_WITHIN = timedelta(minutes=5)
WOKEN_WITHIN = timedelta(minutes=15)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Violation:
    """`invariant`: V1 to V8. `subject`: the id of what breaks it."""

    invariant: str
    subject: str
    what: str


Check = Callable[[AsyncSession, datetime], Awaitable[list[Violation]]]


async def reported_once(session: AsyncSession, now: datetime) -> list[Violation]:
    """V1: one row and one event a report, however often it was sent."""
    del now  # holds at any time
    questions = (
        (_HELD_TWICE, "the incident is there more than once"),
        (_ANNOUNCED_TWICE, "reported more than once"),
    )
    return await _ask(session, "V1", questions, {})


async def files_named(session: AsyncSession, now: datetime) -> list[Violation]:
    """V2: what is called stored has its file, and that file is the one the manifest promised.

    The bytes themselves are read by `app.system.ledgers.files_whole`.
    """
    del now  # holds at any time
    return await _ask(session, "V2", ((_FILE_DIFFERS, "not the file of the manifest"),), {})


async def owned(session: AsyncSession, now: datetime) -> list[Violation]:
    """V3: exactly one owner at any time, routed once and in time, one current step unless final."""
    questions = (
        (_OWNER_DIFFERS, "the owner is not the current step's unit"),
        (_SEVERAL_STEPS, "more than one step is open"),
        (_FINAL_WITH_STEP, "a final matter has an open step"),
        (_LOST_STEP, "the current step has ended or is not there"),
        (_UNROUTED, "not routed within 60 s"),
        (_ROUTED_TWICE, "routed more than once"),
        (_ALONE_BESIDE, "a unit assists in a step that has ended"),
        (_NO_MASTER, "a merged matter has no master, or is its own"),
        (_ASLEEP, "a time has come and nothing happened"),
        (_RAN_OUT, "a clock ran out and has no consequence"),
        (_NO_TIME, "nothing would ever move it"),
    )
    parameters = {
        "late": now - ROUTED_WITHIN,
        "overslept": now - WOKEN_WITHIN,
        "final": [state.value for state in FINAL],
    }
    return await _ask(session, "V3", questions, parameters)


async def inboxes_whole(session: AsyncSession, now: datetime) -> list[Violation]:
    """V4: every inbox is numbered 1…n without gap and never acknowledged beyond its head."""
    del now  # holds at any time
    questions = (
        (_INBOX_GAPS, "the inbox has gaps"),
        (_INBOX_ACKED, "acknowledged beyond the head"),
    )
    return await _ask(session, "V4", questions, {})


async def delivered(session: AsyncSession, now: datetime) -> list[Violation]:
    """V5: an ordered endpoint heard each incident in order; what is due is sent or being sent.

    That a platform verified what was delivered is told by its ledger (`verified_by_platforms`).
    """
    questions = (
        (_OUT_OF_ORDER, "an ordered endpoint was told a later event first"),
        (_ATTEMPT_LOST, "an attempt has been under way beyond its lease"),
    )
    return await _ask(session, "V5", questions, {"late": now - SENT_WITHIN})


async def history_legal(session: AsyncSession, now: datetime) -> list[Violation]:
    """V6: only moves of the table, one after the other, and the incident stands where they end."""
    del now  # holds at any time
    legal = [
        f"{'' if source is None else source.value}>{target.value}" for source, target in edges()
    ]
    questions = (
        (_ILLEGAL_EDGES, "a move that is not in the table"),
        (_BROKEN_SEQUENCE, "an entry does not begin where the one before ended"),
        (_STATE_DIFFERS, "the incident's state is not where its history ends"),
    )
    return await _ask(session, "V6", questions, {"legal": legal})


async def nothing_dead(session: AsyncSession, now: datetime) -> list[Violation]:
    """V7: no event without its reactions, none given up in silence, every reporter told."""
    questions = (
        (_EVENTS_WAITING, "an event waits for more than 60 s"),
        (_REACTIONS_SKIPPED, "a reaction was given up"),
        (_REPORTER_NOT_TOLD, "the reporter was not told"),
    )
    return await _ask(session, "V7", questions, {"late": now - ROUTED_WITHIN})


async def chains_verify(session: AsyncSession, now: datetime) -> list[Violation]:
    """V8: every history's hash chain verifies and ends at the head the incident names."""
    del now  # holds at any time
    broken: list[Violation] = []
    async for incident, entries in _histories(session):
        seq = first_break(entries)
        if seq is not None:
            broken.append(Violation("V8", str(incident.id), f"the chain breaks at entry {seq}"))
        elif entries[-1].hash != incident.history_head:
            broken.append(Violation("V8", str(incident.id), "the chain does not end at its head"))
        elif any(_reworded(entry) for entry in entries):
            broken.append(Violation("V8", str(incident.id), "words that are not the ones hashed"))
        if len(broken) >= MOST:
            break
    return broken


async def evidence_holds(session: AsyncSession, now: datetime) -> list[Violation]:
    """V8: the audit trail's chain, the nightly anchors, and what they once covered."""
    return [Violation("V8", subject, what) for subject, what in await flaws(session, now)]


CHECKS: tuple[Check, ...] = (
    reported_once,
    files_named,
    owned,
    inboxes_whole,
    delivered,
    history_legal,
    nothing_dead,
    chains_verify,
    evidence_holds,
)


async def check_all(session: AsyncSession, now: datetime) -> list[Violation]:
    """Every invariant that the database alone can answer."""
    return [violation for check in CHECKS for violation in await check(session, now)]


async def _ask(
    session: AsyncSession,
    invariant: str,
    questions: Sequence[tuple[TextClause, str]],
    parameters: dict[str, object],
) -> list[Violation]:
    found: list[Violation] = []
    for question, what in questions:
        wanted = {name: parameters[name] for name in parameters if f":{name}" in question.text}
        rows = await session.execute(question, wanted)
        found += [Violation(invariant, str(row[0]), what) for row in rows.fetchmany(MOST)]
    return found


def _reworded(entry: HistoryEntry) -> bool:
    """Texts are erased both at once, or stand as they were hashed."""
    erased = entry.reason is None and entry.text is None
    return not erased and texts_digest(entry.salt, entry.reason, entry.text) != entry.texts_digest


async def _histories(
    session: AsyncSession,
) -> AsyncIterator[tuple[Incident, list[HistoryEntry]]]:
    """Incidents with their entries in order, a few hundred in memory at a time."""
    last = None
    while True:
        query = select(Incident).order_by(Incident.id).limit(_BATCH)
        rows = await session.scalars(query if last is None else query.where(Incident.id > last))
        batch = {incident.id: incident for incident in rows}
        if not batch:
            return
        entries = await session.scalars(
            select(HistoryEntry)
            .where(HistoryEntry.incident_id.in_(batch))
            .order_by(HistoryEntry.incident_id, HistoryEntry.seq)
        )
        for incident_id, own in groupby(entries, key=attrgetter("incident_id")):
            yield batch[incident_id], list(own)
        last = max(batch)
        session.expunge_all()


_OUT_OF_ORDER = text("""
    SELECT later.id FROM webhook_endpoints e
    JOIN deliveries later ON later.endpoint_id = e.id AND later.state = 'delivered'
    JOIN deliveries earlier ON earlier.endpoint_id = e.id
      AND earlier.subject_id = later.subject_id AND earlier.event_id < later.event_id
    WHERE e.ordered AND earlier.tries = earlier.attempts AND later.tries = later.attempts
      AND (earlier.state IN ('queued', 'sending') OR earlier.delivered_at > later.delivered_at)""")
_ATTEMPT_LOST = text("""
    SELECT d.id FROM deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
    WHERE d.state = 'sending' AND d.next_attempt_at < :late AND e.state = 'active'""")
_HELD_TWICE = text("SELECT id FROM incidents GROUP BY id HAVING count(*) > 1")
_ANNOUNCED_TWICE = text("""
    SELECT subject_id FROM domain_events WHERE name = 'incident.reported'
    GROUP BY subject_id HAVING count(*) > 1""")
_FILE_DIFFERS = text("""
    SELECT m.attachment_id FROM incident_media m LEFT JOIN media_files f ON f.id = m.media_id
    WHERE m.state = 'stored' AND (
      f.state IS DISTINCT FROM 'stored'
      OR m.sha256 IS NOT NULL AND m.sha256 <> f.sha256
      OR m.size IS NOT NULL AND m.size <> f.size)""")
_OWNER_DIFFERS = text("""
    SELECT i.id FROM incidents i JOIN steps s ON s.id = i.current_step_id
    WHERE s.unit_id <> i.owner_unit_id OR s.incident_id <> i.id""")
_SEVERAL_STEPS = text("""
    SELECT incident_id FROM steps WHERE ended_at IS NULL AND assists IS NULL
    GROUP BY incident_id HAVING count(*) > 1""")
_FINAL_WITH_STEP = text("""
    SELECT i.id FROM incidents i JOIN steps s ON s.incident_id = i.id AND s.ended_at IS NULL
    WHERE i.state = ANY(:final)""")
_LOST_STEP = text("""
    SELECT i.id FROM incidents i LEFT JOIN steps s ON s.id = i.current_step_id
    WHERE i.current_step_id IS NOT NULL AND (s.id IS NULL OR s.ended_at IS NOT NULL)""")
_UNROUTED = text("""
    SELECT id FROM incidents
    WHERE state = 'submitted' AND current_step_id IS NULL AND received_at < :late""")
_ROUTED_TWICE = text("""
    SELECT incident_id FROM history_entries WHERE action = 'route'
    GROUP BY incident_id HAVING count(*) > 1""")
_ALONE_BESIDE = text("""
    SELECT s.id FROM steps s JOIN steps lead ON lead.id = s.assists
    WHERE s.ended_at IS NULL AND (lead.ended_at IS NOT NULL OR lead.incident_id <> s.incident_id
      OR lead.state NOT IN ('in_progress', 'suspended'))""")
_NO_MASTER = text("""
    SELECT id FROM incidents
    WHERE (state = 'merged') <> (merged_into IS NOT NULL) OR merged_into = id""")
_ASLEEP = text("SELECT id FROM incidents WHERE wakes_at < :overslept")
_RAN_OUT = text("""
    SELECT i.id FROM incidents i JOIN steps s ON s.id = i.current_step_id
    WHERE s.due_at < :overslept AND s.clock_phase = 'running'""")
_NO_TIME = text("""
    SELECT i.id FROM incidents i JOIN steps s ON s.id = i.current_step_id
    WHERE i.wakes_at IS NULL AND s.clock_phase <> 'red'""")
_INBOX_GAPS = text("""
    SELECT i.person_id FROM inboxes i
    LEFT JOIN (SELECT person_id, count(*) AS kept, max(seq) AS newest, min(seq) AS oldest
               FROM notices GROUP BY person_id) n USING (person_id)
    WHERE i.head_seq <> coalesce(n.newest, 0) OR n.kept <> n.newest - n.oldest + 1
    UNION ALL
    SELECT person_id FROM notices WHERE person_id NOT IN (SELECT person_id FROM inboxes)""")
_INBOX_ACKED = text("SELECT person_id FROM inboxes WHERE acked_seq > head_seq")
_ILLEGAL_EDGES = text("""
    SELECT incident_id FROM history_entries
    WHERE coalesce(from_state, '') || '>' || to_state <> ALL(:legal)""")
_BROKEN_SEQUENCE = text("""
    SELECT incident_id FROM (
      SELECT incident_id, seq, from_state,
        lag(to_state) OVER same AS before, row_number() OVER same AS place
      FROM history_entries WINDOW same AS (PARTITION BY incident_id ORDER BY seq)) h
    WHERE seq <> place OR from_state IS DISTINCT FROM before""")
_STATE_DIFFERS = text("""
    SELECT i.id FROM incidents i
    LEFT JOIN history_entries h ON h.incident_id = i.id AND h.seq = i.history_seq
    WHERE h.to_state IS DISTINCT FROM i.state""")
_EVENTS_WAITING = text("""
    SELECT id FROM domain_events WHERE processed_at IS NULL AND recorded_at < :late""")
_REACTIONS_SKIPPED = text("""
    SELECT event_id FROM parked_reactions WHERE next_attempt_at IS NULL""")
_REPORTER_NOT_TOLD = text("""
    SELECT e.id FROM domain_events e
    WHERE e.processed_at IS NOT NULL
      AND (e.name IN ('incident.reported', 'incident.step_opened')
        OR e.name = 'incident.state_changed' AND NOT (e.payload->>'step_opened')::boolean
          AND NOT coalesce((e.payload->>'internal')::boolean, false))
      AND NOT EXISTS (
        SELECT FROM notices n
        WHERE n.event_id = e.id AND n.person_id = (e.payload->>'reporter_id')::uuid)
      AND NOT EXISTS (
        SELECT FROM parked_reactions p
        WHERE p.event_id = e.id AND p.next_attempt_at IS NOT NULL)""")
