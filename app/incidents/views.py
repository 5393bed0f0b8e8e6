"""How incidents look from outside: rows gathered for many at once, then shown one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.models import Person, Unit
from app.areas.datum import Datum, from_wgs84
from app.deadlines.limits import light
from app.incidents.attachments import Attachment, Looking, Sight, gathered, mark_of, shown
from app.incidents.bonds import masters_of
from app.incidents.models import HistoryEntry, Incident, IncidentMedia, Step
from app.incidents.openings import readable
from app.incidents.privacy import masked
from app.incidents.queries import Listed, attachments_of, current_steps, visible_among
from app.incidents.rights import Surroundings, allowed_actions, look_around, standing
from app.incidents.schemas import (
    AssignmentView,
    AttachmentReceipt,
    HistoryActor,
    HistoryView,
    IncidentReceipt,
    IncidentUnit,
    IncidentView,
    PlaceView,
    ReporterView,
    StepView,
)
from app.incidents.secrecy import WITHHELD, Opened, opened, opened_words
from app.incidents.status import OPEN, Action, State
from app.incidents.visibility import knows_reporter, reads_notes


async def show(
    session: AsyncSession, incidents: Sequence[Incident], looking: Looking
) -> list[IncidentView]:
    """The incidents' representations; a fixed number of queries however many they are."""
    steps = await current_steps(session, incidents)
    around = await look_around(session, incidents, list(steps.values()))
    told = await _told(session, incidents, looking.caller, around)
    names = await _names(session, {incident.reporter_id for incident in incidents})
    open_to = await readable(session, looking.caller, incidents, looking.now)
    files = await gathered(session, [incident.id for incident in incidents])
    return [
        _view(
            incident,
            opened(looking.keys, incident) if incident.id in open_to else WITHHELD,
            steps.get(incident.id),
            files[incident.id],
            around,
            names,
            told,
            looking,
        )
        for incident in incidents
    ]


@dataclass(frozen=True, slots=True)
class Told:
    """Of other matters what may be told here: masters' outcomes, relations that are visible."""

    masters: Mapping[UUID, Incident]
    visible: frozenset[UUID]


async def _told(
    session: AsyncSession, incidents: Sequence[Incident], caller: Caller, around: Surroundings
) -> Told:
    merged = [incident.id for incident in incidents if incident.merged_into]
    related = {other for others in around.related.values() for other in others}
    visible = await visible_among(session, caller, related) if related else frozenset()
    return Told(await masters_of(session, merged), visible)


async def receipt(session: AsyncSession, incident: Incident) -> IncidentReceipt:
    """What the phone keeps: the same for a first send and for every repeat."""
    listed = await attachments_of(session, [incident.id])
    return IncidentReceipt(
        id=incident.id,
        number=incident.number,
        received_at=incident.received_at,
        state=incident.state,
        complete=_complete([each.link for each in listed]),
        attachments=[_file_receipt(each) for each in listed],
        revision=incident.revision,
    )


def _file_receipt(listed: Listed) -> AttachmentReceipt:
    """What is stored, else what the manifest promises."""
    item, file, state = listed
    digest = file.sha256 if file else item.sha256
    return AttachmentReceipt(
        id=item.attachment_id,
        state=state,
        size=file.size if file else item.size,
        sha256=digest.hex() if digest else None,
    )


async def show_history(
    session: AsyncSession, incident: Incident, entries: Sequence[HistoryEntry], looking: Looking
) -> list[HistoryView]:
    ids = {entry.unit_id for entry in entries if entry.unit_id}
    rows = await session.scalars(select(Unit).where(Unit.id.in_(ids)))
    units = {unit.id: unit for unit in rows}
    hidden = not knows_reporter(looking.caller, incident)
    notes = reads_notes(looking.caller, incident)
    open_to = await readable(session, looking.caller, [incident], looking.now)
    withheld = incident.id not in open_to
    return [
        _entry(
            entry,
            units,
            incident,
            (None, None) if withheld else opened_words(looking.keys, incident, entry),
            hidden,
            notes,
        )
        for entry in entries
    ]


def _view(
    incident: Incident,
    said: Opened,
    step: Step | None,
    files: Sequence[Attachment],
    around: Surroundings,
    names: Mapping[UUID, str],
    told: Told,
    looking: Looking,
) -> IncidentView:
    places = standing(looking.caller, incident, step, around)
    known = knows_reporter(looking.caller, incident)
    withheld = said is WITHHELD
    mark = mark_of(looking) if incident.sealed else ""
    sight = Sight((said.lon, said.lat), known, withheld, mark)
    return IncidentView(
        id=incident.id,
        number=incident.number,
        state=incident.state,
        category=incident.category,
        urgency=incident.urgency,
        text=said.text,
        source=incident.source,
        place=_place(incident, said, looking.datum),
        area_code=incident.area_code,
        grid_code=incident.grid_code,
        owner=IncidentUnit.model_validate(around.units[incident.owner_unit_id]),
        reporter=ReporterView(id=incident.reporter_id, name=names.get(incident.reporter_id, ""))
        if known
        else None,
        received_at=incident.received_at,
        occurred_at=incident.occurred_at,
        revision=incident.revision,
        step=_step(step, around, looking.now) if step else None,
        outcome=_outcome(incident, said, told, looking, withheld=withheld),
        allowed_actions=[
            str(a) for a in allowed_actions(places, incident, step, around, looking.now)
        ],
        attachments=[shown(each, looking, sight) for each in files],
        complete=_complete([each.link for each in files]),
        self_handled=incident.self_handled,
        rework_count=incident.rework_count,
        merged_into=incident.merged_into,
        related=sorted(around.related.get(incident.id, frozenset()) & told.visible),
        assignment=_assignment(incident, looking.now, withheld=withheld),
        score=incident.score,
        raiser=masked(incident.raiser) if incident.raiser and known else None,
        parties=[masked(party) for party in incident.parties],
        appointment_at=incident.appointment_at,
        sealed=incident.sealed,
        withheld=withheld,
    )


def _outcome(
    incident: Incident, said: Opened, told: Told, looking: Looking, *, withheld: bool
) -> str | None:
    """Of a matter that was merged: what came of its master. Sealed are both or neither."""
    master = told.masters.get(incident.id)
    if master is None or withheld:
        return said.outcome
    return opened(looking.keys, master).outcome or said.outcome


def _assignment(incident: Incident, now: datetime, *, withheld: bool) -> AssignmentView | None:
    kept = incident.assignment
    if kept is None:
        return None
    due_at = datetime.fromisoformat(kept["due_at"])
    yellow_at = datetime.fromisoformat(kept["yellow_at"])
    return AssignmentView(
        level=kept["level"],
        document_number=kept["document_number"],
        leading_official=kept["leading_official"],
        requirement="" if withheld else kept["requirement"],
        due_on=kept["due_on"],
        due_at=due_at,
        light=light(now, yellow_at, due_at) if State(incident.state) in OPEN else None,
    )


def _complete(links: Sequence[IncidentMedia]) -> bool:
    return all(item.state == "stored" for item in links)


def _place(incident: Incident, said: Opened, datum: Datum) -> PlaceView:
    lon, lat = said.lon, said.lat
    if lon is not None and lat is not None:
        lon, lat = from_wgs84(lon, lat, datum)
    return PlaceView(
        lon=lon,
        lat=lat,
        datum=datum,
        accuracy_m=said.place.get("accuracy_m"),
        address=said.place.get("address"),
        grid_code=incident.grid_code,
        grid_uncertain=incident.grid_uncertain,
    )


def _step(step: Step, around: Surroundings, now: datetime) -> StepView:
    due = step.due_at
    return StepView(
        id=step.id,
        unit=IncidentUnit.model_validate(around.units[step.unit_id]),
        state=step.state,
        opened_at=step.opened_at,
        due_at=due,
        remaining=int((due - now).total_seconds()) if due else None,
        light=light(now, step.yellow_at, due) if due and step.yellow_at else None,
        supervision=step.supervision,
        extension_asked=step.extension_asked,
        extension_days=step.extension_days,
        review_at=step.review_at,
        assisting=sorted(around.assisting.get(step.incident_id, ())),
    )


def _entry(
    entry: HistoryEntry,
    units: Mapping[UUID, Unit],
    incident: Incident,
    words: tuple[str | None, str | None],
    hidden: bool,  # noqa: FBT001 - a fact about the viewer
    notes: bool,  # noqa: FBT001 - another one
) -> HistoryView:
    own = entry.actor_id in (incident.reporter_id, incident.entered_by)
    nameless = hidden and own
    silent = entry.action == Action.NOTE and not notes
    unit = units.get(entry.unit_id) if entry.unit_id else None
    return HistoryView(
        seq=entry.seq,
        at=entry.at,
        actor=HistoryActor(
            id=None if nameless else entry.actor_id,
            name="" if nameless else entry.actor_name,
            unit=IncidentUnit.model_validate(unit) if unit else None,
        ),
        action=entry.action,
        from_state=entry.from_state,
        to_state=entry.to_state,
        reason=words[0],
        text=None if silent else words[1],
        step_id=entry.step_id,
        facts=entry.facts,
        hash=entry.hash.hex(),
        previous_hash=entry.previous_hash.hex(),
    )


async def _names(session: AsyncSession, ids: set[UUID]) -> dict[UUID, str]:
    rows = await session.execute(select(Person.id, Person.name).where(Person.id.in_(ids)))
    return {row.id: row.name for row in rows}
