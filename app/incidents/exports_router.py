"""Long exports: asked for, followed, fetched by a link of minutes."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, require
from app.accounts.permissions import Permission
from app.core.audit import note
from app.core.db import new_id
from app.core.errors import Forbidden, MalformedJson, Unauthenticated, ValidationFailed
from app.core.http import Reading, TheResources, Transaction, problems
from app.core.resources import Resources
from app.incidents.errors import ExportLinkExpired, ExportNotFound
from app.incidents.exporting import CSV, XLSX
from app.incidents.list_models import IncidentExport
from app.incidents.list_schemas import ExportView, NewExport

router = APIRouter(prefix="/incidents/exports", tags=["incidents"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_INCIDENTS))]
Expires = Annotated[int, Query(ge=0, le=1 << 40, description="Unix seconds")]
Signature = Annotated[str, Query(max_length=64)]

_PURPOSE = "export-link"


@router.post(
    "",
    status_code=202,
    responses=problems(Unauthenticated, Forbidden, MalformedJson, ValidationFailed),
)
async def begin_export(
    command: NewExport,
    response: Response,
    session: Transaction,
    resources: TheResources,
    caller: Reader,
) -> ExportView:
    """Ask for an export of any length; `Location` tells how far it is."""
    now = resources.clock.now()
    filters = command.filters.model_dump(mode="json", exclude_defaults=True)
    row = IncidentExport(
        id=new_id(),
        person_id=caller.id,
        session_id=caller.session_id,
        format=command.format,
        filters=filters,
        state="queued",
        tries=0,
        done=0,
        created_at=now,
        due_at=now,
    )
    session.add(row)
    await session.flush()
    await note(
        session,
        at=now,
        actor_id=caller.id,
        action="incidents.exported",
        target=("incident_export", row.id),
        format=command.format,
        filters={name: value for name, value in filters.items() if name != "q"},
    )
    response.headers["Location"] = f"/v1/incidents/exports/{row.id}"
    return _view(resources, row)


@router.get("/{export_id}", responses=problems(Unauthenticated, Forbidden, ExportNotFound))
async def read_export(
    export_id: UUID, session: Reading, resources: TheResources, caller: Reader
) -> ExportView:
    """How far an own export is, and at its end the link to its file."""
    row = await session.scalar(
        select(IncidentExport).where(
            IncidentExport.id == export_id, IncidentExport.person_id == caller.id
        )
    )
    if row is None:
        raise ExportNotFound
    return _view(resources, row)


@router.get(
    "/{export_id}/file",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                XLSX: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        **problems(ExportNotFound, ExportLinkExpired),
    },
)
async def download_export(
    export_id: UUID,
    session: Reading,
    resources: TheResources,
    expires: Expires = 0,
    signature: Signature = "",
) -> Response:
    """The file. The signature in the link is the permission; no token is needed."""
    if not resources.keys.verify(_PURPOSE, _message(export_id, expires), signature):
        raise ExportNotFound
    if resources.clock.now().timestamp() >= expires:
        raise ExportLinkExpired
    row = await session.get(IncidentExport, export_id)
    if row is None or row.object_key is None:
        raise ExportNotFound
    headers = {
        "Content-Disposition": f'attachment; filename="incidents.{row.format}"',
        "Content-Length": str(row.size),
    }
    kind = XLSX if row.format == "xlsx" else CSV
    return StreamingResponse(resources.store.read(row.object_key), 200, headers, kind)


def _view(resources: Resources, row: IncidentExport) -> ExportView:
    view = ExportView.model_validate(row)
    if row.state != "done":
        return view
    expires = int(resources.clock.now().timestamp()) + resources.settings.intake.link_s
    signature = resources.keys.sign(_PURPOSE, _message(row.id, expires))
    view.url = f"/v1/incidents/exports/{row.id}/file?expires={expires}&signature={signature}"
    view.expires_at = datetime.fromtimestamp(expires, UTC)
    return view


def _message(export_id: UUID, expires: int) -> bytes:
    return f"{export_id}/{expires}".encode()
