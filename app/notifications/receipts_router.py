"""Who was told of a matter, nudged, and has seen it: for staff."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.dependencies import require
from app.accounts.models import Unit
from app.accounts.permissions import Permission
from app.accounts.queries import holdings_of, names_of
from app.core.errors import CursorInvalid, Forbidden, Unauthenticated, ValidationFailed
from app.core.http import Reading, TheResources, problems
from app.core.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursors, Page
from app.incidents.errors import IncidentNotFound
from app.incidents.models import Incident
from app.incidents.queries import visible_incident
from app.incidents.visibility import knows_reporter
from app.notifications.models import Notice
from app.notifications.queries import notices_of
from app.notifications.schemas import NoticeStateView, TellingUnit, ToldPerson

router = APIRouter(prefix="/incidents", tags=["inbox"])

_NOBODY = ToldPerson(id=None, name="", unit=None)


@router.get(
    "/{incident_id}/notices",
    responses=problems(
        Unauthenticated, Forbidden, IncidentNotFound, CursorInvalid, ValidationFailed
    ),
)
async def list_incident_notices(
    incident_id: UUID,
    request: Request,
    response: Response,
    session: Reading,
    resources: TheResources,
    caller: Annotated[Caller, Depends(require(Permission.READ_RECEIPTS))],
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> Page[NoticeStateView]:
    """Every notice of the matter in the order of its events, and how far each one got."""
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise IncidentNotFound
    cursors = Cursors(resources.keys, f"notices:{incident_id}")
    position = cursors.read(cursor)
    after = (position[0], UUID(position[1])) if position else None
    rows = await notices_of(session, incident_id, after, limit)
    found, following = cursors.cut(rows, limit, lambda n: [n.event_id, str(n.person_id)])
    if following:
        url = request.url.include_query_params(cursor=following)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    people = await _people(session, {notice.person_id for notice in found})
    hidden = _hidden(caller, incident)
    return Page(items=[_shown(notice, people, hidden) for notice in found], next=following)


def _hidden(caller: Caller, incident: Incident) -> frozenset[UUID]:
    """Whose identity the caller must not learn."""
    if knows_reporter(caller, incident):
        return frozenset()
    return frozenset({incident.reporter_id, incident.entered_by})


async def _people(session: AsyncSession, ids: set[UUID]) -> Mapping[UUID, ToldPerson]:
    names = await names_of(session, ids)
    held = await holdings_of(session, ids)
    return {
        id_: ToldPerson(id=id_, name=name, unit=_unit([unit for _, unit in held.get(id_, ())]))
        for id_, name in names.items()
    }


def _unit(units: list[Unit]) -> TellingUnit | None:
    """Of somebody who works in several: the first by code."""
    unit = next((unit for unit in units if unit.active), None)
    return TellingUnit.model_validate(unit) if unit else None


def _shown(
    notice: Notice, people: Mapping[UUID, ToldPerson], hidden: frozenset[UUID]
) -> NoticeStateView:
    unknown = notice.person_id in hidden
    return NoticeStateView(
        person=_NOBODY if unknown else people.get(notice.person_id, _NOBODY),
        seq=None if unknown else notice.seq,
        type=notice.type,
        state=_state(notice),
        at=notice.at,
        nudged_at=None if unknown else notice.nudged_at,
        delivered_at=None if unknown else notice.delivered_at,
        acked_at=None if unknown else notice.acked_at,
    )


def _state(notice: Notice) -> str:
    if notice.acked_at is not None:
        return "acked"
    if notice.delivered_at is not None:
        return "delivered"
    return "nudged" if notice.nudged_at is not None else "queued"
