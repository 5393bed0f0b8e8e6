"""Callbacks in: who signed them, kept as they came, and the questions about them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.accounts.caller import Caller
from app.accounts.models import Platform, Unit
from app.accounts.queries import among, platform_by_code
from app.core import audit
from app.core.crypto import Keys
from app.core.resources import Resources
from app.webhooks import sealing
from app.webhooks.adapters import admitted
from app.webhooks.callback_schemas import WEBHOOK_ID
from app.webhooks.errors import CallbackUnauthenticated
from app.webhooks.events import CALLBACKS
from app.webhooks.models import Callback, CallbackAdapter, CallbackSecret
from app.webhooks.signing import SignatureInvalid, new_secret, verify

KEPT = timedelta(days=90)
_SHAPE = re.compile(WEBHOOK_ID)
_NOBODY = new_secret()


@dataclass(frozen=True, slots=True)
class Called:
    """A request as it came. `headers` by lower-case name; `address` is its sender's."""

    headers: Mapping[str, str]
    body: bytes
    address: str


async def receive(resources: Resources, code: str, called: Called) -> tuple[str, str]:
    """Keep a callback, once. Returns its id and its state. Raises CallbackUnauthenticated."""
    now, body = resources.clock.now(), called.body
    async with resources.sessions.begin() as session:
        platform = await platform_by_code(session, code)
        if platform is not None and platform.state != "active":
            platform = None
        try:
            webhook_id = await _authenticated(session, resources.keys, platform, called, now)
        except SignatureInvalid as invalid:
            raise CallbackUnauthenticated from invalid
        if platform is None or not _SHAPE.fullmatch(webhook_id):
            raise CallbackUnauthenticated
        is_new = await _keep(session, platform.id, webhook_id, body, now)
        kept = await session.get_one(Callback, (platform.id, webhook_id))
    if is_new:
        await resources.wakeups.publish([CALLBACKS])
    return webhook_id, kept.state


async def _authenticated(
    session: AsyncSession, keys: Keys, platform: Platform | None, called: Called, now: datetime
) -> str:
    """The message's id. Raises SignatureInvalid."""
    if platform is not None and "webhook-signature" not in called.headers:
        adapter = await session.get(CallbackAdapter, platform.id)
        if adapter is not None:
            return admitted(adapter, called.headers, called.address, now)
    secrets = await _secrets(session, keys, platform, now)
    # somebody unknown takes as long as somebody whose signature is wrong
    return verify(secrets or [_NOBODY], called.headers, called.body, now)


async def _secrets(
    session: AsyncSession, keys: Keys, platform: Platform | None, now: datetime
) -> list[str]:
    if platform is None:
        return []
    row = await session.get(CallbackSecret, platform.id)
    return [] if row is None else sealing.valid(row, keys, now)


async def _keep(
    session: AsyncSession, platform_id: UUID, webhook_id: str, body: bytes, now: datetime
) -> bool:
    """False: it was here before, and what came first stays."""
    added = await session.scalar(
        insert(Callback)
        .values(
            platform_id=platform_id,
            webhook_id=webhook_id,
            body=body,
            received_at=now,
            next_attempt_at=now,
        )
        .on_conflict_do_nothing()
        .returning(Callback.webhook_id)
    )
    return added is not None


async def rotate_secret(
    session: AsyncSession, keys: Keys, platform_id: UUID, actor_id: UUID | None, now: datetime
) -> str:
    """A secret, shown this once; the one before signs on for a day. The platform is locked."""
    row = await session.get(CallbackSecret, platform_id, with_for_update=True)
    if row is None:
        secret, sealed = sealing.made(keys)
        row = CallbackSecret(platform_id=platform_id, secret=sealed, changed_at=now)
        session.add(row)
    else:
        secret, row.changed_at = sealing.rotated(row, keys, now), now
    await session.flush()
    await audit.note(
        session,
        at=now,
        actor_id=actor_id,
        action="platform.callback_secret_rotated",
        target=("platform", platform_id),
    )
    return secret


async def readable_platform(
    session: AsyncSession, caller: Caller, areas: Collection[str], code: str
) -> Platform | None:
    """The platform itself, or one of a unit in these areas."""
    own = Platform.id == caller.id
    within = own if caller.kind == "platform" else among(Unit.area_code, areas)
    found: Platform | None = await session.scalar(
        select(Platform)
        .join(Unit, Unit.id == Platform.unit_id)
        .where(Platform.code == code, within)
    )
    return found


async def callbacks_page(
    session: AsyncSession,
    platform_id: UUID,
    state: str | None,
    before: tuple[str, str] | None,
    limit: int,
) -> Sequence[Callback]:
    """The newest first."""
    key = tuple_(Callback.received_at, Callback.webhook_id)
    query = select(Callback).where(Callback.platform_id == platform_id)
    if state is not None:
        query = query.where(Callback.state == state)
    if before is not None:
        query = query.where(key < tuple_(datetime.fromisoformat(before[0]), before[1]))
    rows = await session.scalars(
        query.order_by(Callback.received_at.desc(), Callback.webhook_id.desc()).limit(limit)
    )
    return rows.all()


async def prune_callbacks(session: AsyncSession, now: datetime) -> None:
    """Forget what was settled 90 days ago, but not by what a stale one is known."""
    await session.execute(
        delete(Callback)
        .where(
            Callback.next_attempt_at.is_(None),
            Callback.received_at < now - KEPT,
            or_(Callback.state != "applied", Callback.sequence.is_(None), _followed()),
        )
        .execution_options(synchronize_session=False)
    )


def _followed() -> ColumnElement[bool]:
    later = aliased(Callback)
    return exists().where(
        and_(
            later.platform_id == Callback.platform_id,
            later.incident_id == Callback.incident_id,
            later.sequence > Callback.sequence,
            later.state == "applied",
        )
    )
