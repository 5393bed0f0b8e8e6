import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.types import Receive, Scope, Send

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, require
from app.accounts.permissions import Permission
from app.core.asgi import abort_of, continue_with
from app.core.errors import Forbidden, Unauthenticated, ValidationFailed
from app.core.http import TheResources, Transaction, database_is_away, problems
from app.core.resources import Resources
from app.core.wakeups import listening
from app.incidents.informing import tick_informed
from app.notifications.delivered import note_delivered
from app.notifications.inbox import ack, subject
from app.notifications.queries import marks_of, notices_after
from app.notifications.schemas import AckCommand, AckView, InboxPage, NoticeView
from app.notifications.stream import COME_BACK_LATER, Stream

log = structlog.get_logger()

router = APIRouter(prefix="/inbox", tags=["inbox"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_NOTICES))]
Seq = Annotated[int, Query(ge=0, le=2**53)]


class _StreamRoute(IdentifiedRoute):
    """Too much to do is said with a 200: a 503 would stop an EventSource for good (P8)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def welcomed(request: Request) -> Response:
            try:
                return await handle(request)
            except (DBAPIError, PoolTimeout) as failure:
                if not database_is_away(failure):
                    raise
                log.warning("stream_put_off", error=type(failure).__name__)
                return Response(COME_BACK_LATER + b"\n", media_type=StreamResponse.media_type)

        return welcomed


streams = APIRouter(prefix="/inbox", tags=["inbox"], route_class=_StreamRoute)


class StreamResponse(Response):
    """Only prepares the answer: it is given once the framework is out of the way."""

    media_type = "text/event-stream"

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        continue_with(scope, self._stream.serve)


@router.get("", responses=problems(Unauthenticated, Forbidden, ValidationFailed))
async def read_inbox(
    resources: TheResources,
    caller: Reader,
    after: Seq = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    wait: Annotated[int, Query(ge=0, le=30)] = 0,
) -> InboxPage:
    """Notices with a number greater than `after`, in order; waits up to `wait` seconds for one."""
    ticking = asyncio.get_running_loop().time
    end = ticking() + wait
    with listening(resources.wakeups, subject(caller.id)) as waiter:
        found = await _page(resources, caller, after, limit)
        # a wakeup is a hint that may be lost: the poll makes up for it (P9)
        while not found.items and (left := end - ticking()) > 0 and not resources.draining.is_set():
            await waiter.wait(min(left, resources.settings.wakeups.poll_s))
            found = await _page(resources, caller, after, limit)
    return found


@streams.get(
    "/stream",
    status_code=200,  # FastAPI reads it from a signature that this response does not have
    response_class=StreamResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **problems(Unauthenticated, Forbidden, ValidationFailed),
    },
)
async def stream_inbox(
    resources: TheResources,
    caller: Reader,
    request: Request,
    last_event_id: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    header_id: Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=2**53)] = None,
    heartbeat: Annotated[int, Query(ge=15, le=240)] = 25,
) -> StreamResponse:
    """Server-sent events: `hello`, then every notice newer than the resume point, then live.

    The resume point is `Last-Event-ID`, else `last_event_id`, else the stored acknowledgement.
    A terminal has two streams at most: the oldest ends with `bye`.
    """
    after = header_id if header_id is not None else last_event_id
    return StreamResponse(Stream(resources, caller, after, heartbeat, abort_of(request.scope)))


@router.post(
    "/ack",
    response_model_exclude_unset=True,
    responses=problems(Unauthenticated, Forbidden, ValidationFailed),
)
async def ack_inbox(
    command: AckCommand, session: Transaction, resources: TheResources, caller: Reader
) -> AckView:
    """Acknowledge everything up to a number; idempotent, never backwards.

    With it the reporter says which raisers were told what came of their matter.
    """
    now = resources.clock.now()
    # incidents before inboxes, as the relay locks them
    ticked = await tick_informed(session, caller, command.raisers_informed, now)
    acked = await ack(session, caller.id, command.up_to, now)
    if not command.raisers_informed:
        return AckView(acked_seq=acked)
    return AckView(acked_seq=acked, raisers_informed=ticked)


async def _page(resources: Resources, caller: Caller, after: int, limit: int) -> InboxPage:
    async with resources.sessions.read() as session:
        marks = await marks_of(session, caller.id)
        notices = await notices_after(session, caller.id, after, limit)
    note_delivered(resources, caller.id, notices)
    last = notices[-1].seq if notices else 0
    return InboxPage(
        items=[NoticeView.model_validate(notice) for notice in notices],
        next=str(last) if notices and last < marks.head else None,
        head_seq=marks.head,
        acked_seq=marks.acked,
    )
