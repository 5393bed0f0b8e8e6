"""Derivatives: what a stored file is found to be, and the pictures that are made of it.

Bytes first, then SQL: read back and hashed (a store that lies is found out here first), looked into
by a child, pictures stored, and only then the rows written.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import delete, insert, update
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.datum import to_wgs84
from app.core.db import new_id
from app.core.jobs import defer
from app.core.object_store import ObjectMissing
from app.core.resources import Resources
from app.core.sealed_store import is_sealed
from app.media import rereading
from app.media.children import Answer, look_into
from app.media.findings import Picture, Refused
from app.media.models import Derivative, Examination
from app.media.queries import stored_file
from app.media.storing import remove

EXAMINE = "media.examine"
"""The name of the job."""
TRIES = 3
"""Of a file that never let a child or its process come to an end."""
_PICTURE_TYPE = "image/webp"
_BATCH = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Subject:
    """A file that is being looked into."""

    file_id: UUID
    object_key: str
    sha256: bytes
    content_type: str


async def queue(session: AsyncSession, file_ids: Sequence[UUID], at: datetime) -> None:
    """Have files looked into, each once; the jobs join this transaction."""
    if not file_ids:
        return
    fresh = await session.scalars(
        insert_once(Examination)
        .values([{"file_id": id_, "state": "queued", "queued_at": at} for id_ in file_ids])
        .on_conflict_do_nothing()
        .returning(Examination.file_id)
    )
    await defer(session, EXAMINE, fresh)


async def queue_again(resources: Resources) -> int:
    """Have every file looked into again of which nothing could be made. Returns how many."""
    at = resources.clock.now()
    async with resources.sessions.begin() as session:
        again = await session.scalars(
            update(Examination)
            .where(Examination.state == "failed")
            .values(state="queued", code=None, tries=0, queued_at=at, ended_at=None)
            .returning(Examination.file_id)
        )
        ids = list(again)
        for start in range(0, len(ids), _BATCH):
            await defer(session, EXAMINE, ids[start : start + _BATCH])
    return len(ids)


async def examine(resources: Resources, file_id: UUID) -> None:
    """The job. Raises StoreUnavailable; it is tried again then."""
    subject = await _subject(resources, file_id)
    if subject is None:
        return
    with tempfile.TemporaryFile() as body:
        found = await _fetch(resources, subject, body)
        await _note(resources, subject, found)
        if found != "whole" or not await _take_a_try(resources, subject):
            return
        try:
            answer = await look_into(body, subject.content_type, resources.settings.jobs)
        except Refused as refused:
            log.info("file_not_shown", file_id=str(file_id), code=str(refused))
            await _give_up(resources, subject, str(refused))
            return
    await _keep(resources, subject, answer)


async def _subject(resources: Resources, file_id: UUID) -> Subject | None:
    """None where there is nothing to do: done before, or the file is gone."""
    async with resources.sessions.read() as session:
        file = await stored_file(session, file_id)
        found = await session.get(Examination, file_id)
    if file is None or found is None or found.state != "queued":
        return None
    if file.object_key is None or file.sha256 is None or file.content_type is None:
        return None
    return Subject(file_id, file.object_key, file.sha256, file.content_type)


async def _fetch(resources: Resources, subject: Subject, body: IO[bytes]) -> rereading.Found:
    """The object's bytes into a file without a name, and whether they are those that came."""
    digest = hashlib.sha256()
    try:
        async for chunk in resources.store.read(subject.object_key):
            digest.update(chunk)
            await asyncio.to_thread(body.write, chunk)
    except ObjectMissing:
        return "gone"
    body.seek(0)
    return "whole" if digest.digest() == subject.sha256 else "other"


async def _note(resources: Resources, subject: Subject, found: rereading.Found) -> None:
    async with resources.sessions.begin() as session:
        at = resources.clock.now()
        await rereading.note(session, subject.file_id, "examination", found, at=at)


async def _take_a_try(resources: Resources, subject: Subject) -> bool:
    """Count it before it is made. False where it was tried too often."""
    async with resources.sessions.begin() as session:
        tries = await session.scalar(
            update(Examination)
            .where(Examination.file_id == subject.file_id)
            .values(tries=Examination.tries + 1)
            .returning(Examination.tries)
        )
    if tries is not None and tries <= TRIES:
        return True
    log.error("file_given_up", file_id=str(subject.file_id))
    await _give_up(resources, subject, "decoder-crashed")
    return False


async def _give_up(resources: Resources, subject: Subject, code: str) -> None:
    async with resources.sessions.begin() as session:
        await _end(session, subject.file_id, state="failed", code=code, at=resources.clock.now())


async def _keep(resources: Resources, subject: Subject, answer: Answer) -> None:
    """Store the pictures, then name them; nothing stays of an attempt that fails."""
    at = resources.clock.now()
    below = "media/sealed/derived" if is_sealed(subject.object_key) else "media/derived"
    keys = [f"{below}/{at:%Y/%m}/{new_id()}" for _ in answer.pictures]
    try:
        for key, picture in zip(keys, answer.pictures, strict=True):
            await resources.store.put(key, picture.body, _PICTURE_TYPE)
        former = await _name(resources, subject, answer, keys, at)
    except BaseException:
        await remove(resources, keys)
        raise
    await remove(resources, former)


async def _name(
    resources: Resources, subject: Subject, answer: Answer, keys: Sequence[str], at: datetime
) -> list[str]:
    """Write the rows. Returns the keys of the pictures they replace."""
    rows = [_row(subject, picture, key) for picture, key in zip(answer.pictures, keys, strict=True)]
    async with resources.sessions.begin() as session:
        former = await session.scalars(
            delete(Derivative)
            .where(Derivative.file_id == subject.file_id)
            .returning(Derivative.object_key)
        )
        replaced = list(former)
        if rows:
            await session.execute(insert(Derivative), rows)
        facts = _facts(answer.facts, resources.settings.zone)
        await _end(session, subject.file_id, state="made", code=None, at=at, **facts)
    return replaced


def _row(subject: Subject, picture: Picture, key: str) -> dict[str, Any]:
    return {
        "file_id": subject.file_id,
        "variant": picture.variant,
        "object_key": key,
        "content_type": _PICTURE_TYPE,
        "size": len(picture.body),
        "sha256": hashlib.sha256(picture.body).digest(),
        "width": picture.width,
        "height": picture.height,
    }


def _facts(found: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """The columns of what was found; a time without an offset is that of the server's zone."""
    taken = found["taken"]
    lon, lat = taken["lon"], taken["lat"]
    if lon is not None and "GCJ" in (taken["datum"] or "").upper():
        lon, lat = to_wgs84(lon, lat, "gcj02")
    return {
        "width": found["width"],
        "height": found["height"],
        "duration_s": found["duration_s"],
        "codec": found["codec"],
        "picture_hash": found["picture_hash"],
        "taken_at": _instant(taken["at"], zone),
        "taken_lon": lon,
        "taken_lat": lat,
    }


def _instant(written: str | None, zone: ZoneInfo) -> datetime | None:
    try:
        read = datetime.fromisoformat(written) if written else None
    except ValueError:
        return None
    return read.replace(tzinfo=zone) if read is not None and read.tzinfo is None else read


async def _end(
    session: AsyncSession,
    file_id: UUID,
    *,
    state: str,
    code: str | None,
    at: datetime,
    **facts: Any,  # noqa: ANN401 - columns
) -> None:
    await session.execute(
        update(Examination)
        .where(Examination.file_id == file_id)
        .values(state=state, code=code, ended_at=at, **facts)
    )
