"""What the operators of an area are told of its endpoints."""

from collections.abc import Sequence
from dataclasses import astuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.queries import holders_of_role
from app.areas.locate import current_map
from app.core.db import one_of
from app.core.events import Recorded
from app.core.relay import Tick
from app.notifications.inbox import Draft, write
from app.notifications.messages import Message
from app.webhooks.events import EndpointDisabled
from app.webhooks.models import Endpoint

_WHY = {"gone": "对方答复该地址已不存在（410）", "failing": "连续五天推送失败"}
_SHOWN = 200


async def tell_operators(
    session: AsyncSession, events: Sequence[Recorded[EndpointDisabled]], tick: Tick
) -> None:
    """One notice for each administrator of the endpoint's area or of one above it (W6)."""
    areas = await current_map(tick.resources)
    urls = await _urls(session, {recorded.event.endpoint_id for recorded in events})
    drafts = []
    for recorded in events:
        line = [code for code in astuple(areas.lineage(recorded.event.area_code)) if code]
        message = _message(recorded.event, urls.get(recorded.event.endpoint_id, ""))
        drafts += [
            Draft(
                person_id=person,
                event_id=recorded.id,
                type=recorded.event.name,
                incident_id=None,
                number="",
                state="disabled",
                message=message,
                at=recorded.at,
            )
            for person in await holders_of_role(session, line, Role.ADMINISTRATOR)
        ]
    tick.subjects |= await write(session, drafts)


def _message(event: EndpointDisabled, url: str) -> Message:
    where = f"{url[:_SHOWN]}（{event.endpoint_id}）"
    return Message(
        "平台推送已停用",
        f"{where}：{_WHY[event.why]}，已停止推送。待推送内容已保留，请联系平台修复后恢复推送。",
    )


async def _urls(session: AsyncSession, ids: set[UUID]) -> dict[UUID, str]:
    """Without those deleted meanwhile."""
    rows = await session.execute(select(Endpoint.id, Endpoint.url).where(one_of(Endpoint.id, ids)))
    return {row.id: row.url for row in rows}
