"""The work behind the routes of uploads: a hold, the bytes, the finish, and what is told."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime

from app.accounts.caller import Caller
from app.core.disk import RETRY_AFTER_S, Disk
from app.core.errors import InsufficientStorage, Problem
from app.core.object_store import StoreFull, StoreUnavailable
from app.core.resources import Resources
from app.incidents.adopting import adopt_upload
from app.incidents.bringing import Bringing
from app.media import tus
from app.media.errors import FileStoreUnavailable
from app.media.finishing import finish, is_whole, reject
from app.media.holding import Fenced, Hold, held
from app.media.models import Upload
from app.media.resumable import receive
from app.media.upload_errors import UploadBusy, UploadLengthInvalid, UploadLost, UploadOverflows

_OPEN = {"receiving", "verifying"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """The request that brings bytes: its headers, its body, whose it is."""

    caller: Caller
    headers: Mapping[str, str]
    stream: AsyncIterator[bytes]


async def bring(resources: Resources, hold: Hold, chunk: Chunk) -> None:
    """The body into the store, and the file to its place when it is whole."""
    await _take_length(resources, hold, chunk.headers)
    checksum = tus.checksum_of(chunk.headers)
    _check_announced(chunk.headers.get("content-length", ""), hold.upload)
    check_room(resources)
    settling = Bringing(resources, chunk.caller)
    if hold.upload.session_id != chunk.caller.session_id:
        await hold.save(session_id=chunk.caller.session_id)
    try:
        await receive(resources, hold, chunk.stream, checksum)
    except UploadLost as lost:
        await reject(resources, hold, settling, lost)
        raise
    finally:
        if is_whole(hold.upload):
            await conclude(resources, hold, chunk.caller)


async def conclude(resources: Resources, hold: Hold, caller: Caller) -> None:
    """A whole file goes to its place: in a report, or its creator's until a report names it."""
    await finish(resources, hold, Bringing(resources, caller))
    await adopt_upload(resources, hold.upload)


def _check_announced(content_length: str, upload: Upload) -> None:
    """Raises UploadOverflows."""
    announced = int(content_length) if content_length.isdecimal() else 0
    if upload.length is not None and upload.received + announced > upload.length:
        raise UploadOverflows(length=upload.length)


async def _take_length(resources: Resources, hold: Hold, headers: Mapping[str, str]) -> None:
    """A length that was deferred, once. Raises UploadLengthInvalid, FileTooLarge."""
    length = tus.late_length_of(headers, resources.settings.uploads)
    if length is None or length == hold.upload.length:
        return
    if hold.upload.length is not None or length < hold.upload.received:
        raise UploadLengthInvalid
    await hold.save(length=length)


async def as_saved(resources: Resources, caller: Caller, upload: Upload) -> Upload:
    """The upload once who still sends to it has saved; a whole file is settled, come what may."""
    leased = upload.leased_until is not None and upload.leased_until > resources.clock.now()
    if leased or upload.state not in _OPEN or not (upload.held or is_whole(upload)):
        return upload
    async with held(resources, upload.id) as hold:
        if is_whole(hold.upload):
            try:
                await conclude(resources, hold, caller)
            except (Problem, StoreUnavailable, Fenced):
                return hold.upload
        return hold.upload


@asynccontextmanager
async def working(
    resources: Resources, upload_id: str, headers: dict[str, str] | None = None
) -> AsyncIterator[Hold]:
    """Hold the upload; what goes wrong is told together with how far it has come."""
    async with held(resources, upload_id) as hold:
        try:
            yield hold
        except Problem as problem:
            problem.headers = {**problem.headers, **(headers or {}), **progress(hold.upload)}
            raise
        except StoreFull as full:
            told = {"Retry-After": RETRY_AFTER_S, **progress(hold.upload)}
            raise InsufficientStorage(headers=told) from full
        except StoreUnavailable as down:
            told = {"Retry-After": "5", **progress(hold.upload)}
            raise FileStoreUnavailable(headers=told) from down
        except Fenced as fenced:
            raise UploadBusy(headers={"Retry-After": "1"}) from fenced


def check_room(resources: Resources) -> None:
    """Raises InsufficientStorage."""
    try:
        resources.the(Disk).check_files()
    except StoreFull as full:
        raise InsufficientStorage(headers={"Retry-After": RETRY_AFTER_S}) from full


def progress(upload: Upload) -> dict[str, str]:
    expires = format_datetime(upload.expires_at.astimezone(UTC), usegmt=True)
    return {"Upload-Offset": str(upload.received), "Upload-Expires": expires}


def facts_of(upload: Upload) -> dict[str, str]:
    facts = {"Cache-Control": "no-store"}
    if upload.length is None:
        facts["Upload-Defer-Length"] = "1"
    else:
        facts["Upload-Length"] = str(upload.length)
    if upload.metadata_ is not None:
        facts["Upload-Metadata"] = upload.metadata_
    return facts
