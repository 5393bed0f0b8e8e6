"""Holding an upload: one request writes it at a time, on whatever process, and the newest wins.

A newcomer asks the holder to save and let go; who does not answer is gone round: the fence in the
row moves, and what is saved under a lower one is refused. No connection is held meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import (
    ClauseElement,
    and_,
    bindparam,
    case,
    func,
    inspect,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import OutcomeUnknown
from app.core.resources import Resources
from app.core.wakeups import Waiter, listening
from app.media.models import Upload
from app.media.upload_errors import UploadBusy, UploadExpired, UploadLost, UploadNotFound

RETRY_AFTER_S = "2"
_POLL_S = 0.1
_LEASE = timedelta(seconds=15)
_RENEW_S = 5.0

log = structlog.get_logger()


class Fenced(Exception):  # noqa: N818 - names the fact
    """Somebody has taken the upload over; nothing may be written any more."""


def wanted(upload_id: str) -> str:
    return f"upload-wanted:{upload_id}"


def _free(upload_id: str) -> str:
    return f"upload-free:{upload_id}"


async def find(resources: Resources, upload_id: str, owner_id: UUID) -> Upload:
    """The upload of this owner. Raises UploadNotFound, UploadLost, UploadExpired."""
    async with resources.sessions.read() as session:
        upload = await session.get(Upload, upload_id)
    if upload is None or upload.owner_id != owner_id:
        raise UploadNotFound
    if upload.refusal == UploadLost.code:
        raise UploadLost
    if upload.refusal == UploadExpired.code or upload.expires_at <= resources.clock.now():
        raise UploadExpired
    return upload


class Hold:
    """The right to write one upload; `upload` is its row as this request has left it."""

    def __init__(self, resources: Resources, upload: Upload) -> None:
        self._resources = resources
        self.upload = upload
        self._mine = and_(Upload.id == upload.id, Upload.fence == upload.fence)
        self._named = {"upload_id": upload.id, "held_under": upload.fence}

    async def save(self, **values: Any) -> None:  # noqa: ANN401 - values of the row's columns
        """Write these columns. Raises Fenced, OutcomeUnknown."""
        given = {name: _plain(value) for name, value in values.items()} | self._named
        if await self._resources.sessions.once(_writing(frozenset(values)), given) is None:
            raise Fenced
        for name, value in values.items():
            setattr(self.upload, name, value)

    async def has_to_end(self) -> bool:
        """Whether a newcomer has asked for the upload, or has it already.

        Where the database can't be asked nobody has: what is fenced is refused all the same.
        """
        try:
            async with self._resources.sessions.read() as session:
                row = (
                    await session.execute(
                        select(Upload.fence, Upload.wanted).where(Upload.id == self.upload.id)
                    )
                ).one_or_none()
        except (SQLAlchemyError, OSError) as lost:
            log.warning("upload_watch_interrupted", error=type(lost).__name__)
            return False
        return row is None or row.fence != self.upload.fence or row.wanted >= row.fence

    async def let_go(self) -> None:
        """What ended the upload may have said so already."""
        asked = self.upload.wanted
        if self.upload.held:
            given = {**self._named, "next_part": self.upload.next_part}
            asked = await self._resources.sessions.once(_LETTING_GO, given)
        if asked is not None and asked >= self.upload.fence:
            await self._resources.wakeups.publish([_free(self.upload.id)])

    def lease_end(self) -> datetime:
        return self._resources.clock.now() + _LEASE

    @asynccontextmanager
    async def leased(self) -> AsyncIterator[None]:
        """Nobody takes it over meanwhile, as long as this process lives."""
        if self.upload.leased_until is None:
            await self.save(leased_until=self.lease_end())
        renewing = asyncio.create_task(self._renew(), name="upload-lease")
        try:
            yield
        finally:
            renewing.cancel()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            until = self.lease_end()
            try:
                async with self._resources.sessions.begin() as session:
                    await session.execute(
                        update(Upload).where(self._mine).values(leased_until=until)
                    )
            except (SQLAlchemyError, OutcomeUnknown, OSError) as lost:
                log.warning("upload_lease_interrupted", error=type(lost).__name__)


_OF_THE_HOLDER = and_(Upload.id == bindparam("upload_id"), Upload.fence == bindparam("held_under"))
_LETTING_GO = (
    update(Upload)
    .where(_OF_THE_HOLDER)
    .values(held=False, leased_until=null(), next_part=bindparam("next_part"))
    .returning(Upload.wanted)
)


_UNLEASED = or_(
    Upload.leased_until.is_(None),
    Upload.leased_until < bindparam("now", type_=Upload.leased_until.type),
)
_TAKING = (
    update(Upload)
    .where(
        Upload.id == bindparam("upload_id"),
        or_(Upload.held.is_(False), and_(Upload.fence == bindparam("forced"), _UNLEASED)),
    )
    .values(
        fence=Upload.fence + 1,
        held=True,
        leased_until=null(),
        # the one gone round may have a part under way, which must not replace another
        next_part=case((Upload.held, Upload.next_part + 1), else_=Upload.next_part),
    )
    .returning(Upload)
)
_COLUMNS = {each.key: each.columns[0].name for each in inspect(Upload).column_attrs}


@cache
def _writing(names: frozenset[str]) -> ClauseElement:
    """The statement that writes these columns."""
    given = {name: bindparam(name, type_=Upload.__table__.c[name].type) for name in names}
    return update(Upload).where(_OF_THE_HOLDER).values(given).returning(Upload.fence)


def _plain(value: object) -> object:
    """As the driver takes it."""
    return orjson.dumps(value).decode() if isinstance(value, list) else value


@asynccontextmanager
async def held(resources: Resources, upload_id: str) -> AsyncIterator[Hold]:
    """Take the upload for a `with` block. Raises UploadBusy, UploadNotFound."""
    hold = await _Claiming(resources, upload_id).run()
    try:
        yield hold
    finally:
        try:
            await hold.let_go()
        except (SQLAlchemyError, OutcomeUnknown, OSError) as lost:
            # what the block was worth stands; whoever comes next goes round this hold
            log.warning("upload_not_let_go", error=type(lost).__name__)


class _Claiming:
    """One newcomer's way to the upload."""

    def __init__(self, resources: Resources, upload_id: str) -> None:
        self._resources = resources
        self._id = upload_id
        self._limits = resources.settings.uploads
        self._asked = -1
        """The fence of the holder that was asked to let go."""
        self._asked_at = 0.0

    async def run(self) -> Hold:
        with listening(self._resources.wakeups, _free(self._id)) as waiter:
            try:
                async with asyncio.timeout(self._limits.wait_s):
                    return await self._until_free(waiter)
            except TimeoutError as late:
                raise UploadBusy(headers={"Retry-After": RETRY_AFTER_S}) from late

    async def _until_free(self, waiter: Waiter) -> Hold:
        while (taken := await self._take()) is None:
            await self._ask()
            await waiter.wait(_POLL_S)
        return Hold(self._resources, taken)

    async def _take(self) -> Upload | None:
        given = {
            "upload_id": self._id,
            "now": self._resources.clock.now(),
            "forced": self._forced(),
        }
        rows = await self._resources.sessions.rows(_TAKING, given)
        if not rows:
            return None
        return Upload(**{name: getattr(rows[0], column) for name, column in _COLUMNS.items()})

    def _forced(self) -> int:
        """The fence of a holder that has had its time to let go; -1: none."""
        waited = asyncio.get_running_loop().time() - self._asked_at
        return self._asked if waited >= self._limits.takeover_s else -1

    async def _ask(self) -> None:
        """Tell the holder once that it is to save and end. Raises UploadNotFound."""
        asking = (
            update(Upload)
            .where(Upload.id == self._id)
            .values(wanted=func.greatest(Upload.wanted, Upload.fence))
            .returning(Upload.fence)
        )
        async with self._resources.sessions.begin() as session:
            fence = await session.scalar(asking)
        if fence is None:
            raise UploadNotFound
        if fence != self._asked:
            self._asked, self._asked_at = fence, asyncio.get_running_loop().time()
            await self._resources.wakeups.publish([wanted(self._id)])
