from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.queries import among
from app.webhooks.models import Attempt, Delivery, Endpoint


def manageable(caller: Caller, areas: Collection[str]) -> ColumnElement[bool]:
    """People manage what belongs to their areas; a platform what it made itself."""
    if caller.kind == "platform":
        return Endpoint.created_by == caller.id
    return among(Endpoint.owner_area, areas)


async def endpoint_by_id(
    session: AsyncSession, caller: Caller, areas: Collection[str], endpoint_id: UUID
) -> Endpoint | None:
    found: Endpoint | None = await session.scalar(_one(caller, areas, endpoint_id))
    return found


async def locked_endpoint(
    session: AsyncSession, caller: Caller, areas: Collection[str], endpoint_id: UUID
) -> Endpoint | None:
    """As it stands once the pump has written down what it was in the middle of."""
    found: Endpoint | None = await session.scalar(
        _one(caller, areas, endpoint_id).with_for_update().execution_options(populate_existing=True)
    )
    return found


async def deliveries_page(
    session: AsyncSession,
    endpoint_id: UUID,
    state: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> Sequence[Delivery]:
    """The newest first."""
    query = select(Delivery).where(Delivery.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(Delivery.state == state)
    if after is not None:
        query = query.where(_before(*after))
    rows = await session.scalars(
        query.order_by(Delivery.created_at.desc(), Delivery.id.desc()).limit(limit)
    )
    return rows.all()


async def attempts_of(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, list[Attempt]]:
    rows = await session.scalars(
        select(Attempt)
        .where(Attempt.delivery_id.in_(ids) if ids else false())
        .order_by(Attempt.delivery_id, Attempt.number)
    )
    found: dict[UUID, list[Attempt]] = {}
    for row in rows:
        found.setdefault(row.delivery_id, []).append(row)
    return found


def _one(caller: Caller, areas: Collection[str], endpoint_id: UUID) -> Select[Endpoint]:
    return select(Endpoint).where(Endpoint.id == endpoint_id, manageable(caller, areas))


def _before(created_at: str, delivery_id: str) -> ColumnElement[bool]:
    at, key = datetime.fromisoformat(created_at), UUID(delivery_id)
    return or_(Delivery.created_at < at, and_(Delivery.created_at == at, Delivery.id < key))
