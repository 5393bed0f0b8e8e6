"""Receiving a multipart report: meta first, then its files straight into the store.

No temporary file and no database connection while bytes flow. When anything is refused, nothing of
the attempt stays; while the store is down the text is taken and its files stay expected.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

import structlog

from app.core.db import new_id
from app.core.disk import Disk
from app.core.errors import UnsupportedMediaType
from app.core.object_store import StoreUnavailable
from app.core.packing import json_body
from app.core.resources import Resources
from app.incidents.errors import AttachmentNotListed, AttachmentRepeated
from app.incidents.reporting import Received
from app.incidents.schemas import ManifestFile
from app.media.errors import AttachmentsDiffer, MetaMustBeFirst
from app.media.multipart import Part, check_request, parts
from app.media.storing import Expected, FileDiffers, remove, store

_JSON = "application/json"

log = structlog.get_logger()


class Manifest(Protocol):
    """What `meta` said, prepared: the files that may follow it."""

    @property
    def files(self) -> Sequence[ManifestFile]: ...

    @property
    def sealed(self) -> bool: ...


ManifestT = TypeVar("ManifestT", bound=Manifest)


class Receiving:
    """One body with its files; what it has put into the store can be taken back."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.received: dict[UUID, Received] = {}
        self._seen: set[UUID] = set()
        self._differing: list[UUID] = []

    async def read(
        self,
        headers: Mapping[str, str],
        stream: AsyncIterator[bytes],
        read_meta: Callable[[bytes], Awaitable[ManifestT]],
    ) -> ManifestT:
        """Take the body in, JSON or multipart by its content type.

        Raises InsufficientStorage, UnsupportedMediaType, the problems of media.errors and those of
        `read_meta`.
        """
        self._resources.the(Disk).check_reports()
        content_type = headers.get("content-type", "")
        encoding = headers.get("content-encoding")
        limits = self._resources.settings.intake
        kind = content_type.partition(";")[0].strip().lower()
        if kind == _JSON:
            return await read_meta(await json_body(stream, encoding, limits))
        if kind != "multipart/form-data":
            raise UnsupportedMediaType(headers={"Accept": f"multipart/form-data, {_JSON}"})
        length = headers.get("content-length", "")
        check_request(content_type, int(length) if length.isdecimal() else None, encoding, limits)
        try:
            return await self._read_parts(content_type, stream, read_meta)
        except BaseException:
            await self.take_back()
            raise

    async def take_back(self, keep: frozenset[UUID] = frozenset()) -> None:
        """Remove the objects of this attempt, but for the attachments in `keep`."""
        gone = [item.stored.object_key for id_, item in self.received.items() if id_ not in keep]
        if gone:
            await remove(self._resources, gone)

    async def _read_parts(
        self,
        content_type: str,
        stream: AsyncIterator[bytes],
        read_meta: Callable[[bytes], Awaitable[ManifestT]],
    ) -> ManifestT:
        limits = self._resources.settings.intake
        incoming = parts(content_type, stream, limits)
        first = await anext(incoming, None)
        if first is None or first.name != "meta" or first.content_type != _JSON:
            raise MetaMustBeFirst
        meta = await first.text(limits.meta_bytes)
        prepared = await read_meta(meta.encode())
        listed = {file.id: file for file in prepared.files}
        async for part in incoming:
            await self._take(part, listed, sealed=prepared.sealed)
        if self._differing:
            raise AttachmentsDiffer(attachments=[str(id_) for id_ in self._differing])
        return prepared

    async def _take(self, part: Part, listed: dict[UUID, ManifestFile], *, sealed: bool) -> None:
        file = listed.get(_uuid(part.name))
        if file is None:
            raise AttachmentNotListed(attachment=part.name)
        if file.id in self._seen:
            raise AttachmentRepeated(attachment=part.name)
        self._seen.add(file.id)
        try:
            expected = Expected(file.kind, file.size, file.sha256, sealed)
            stored = await store(self._resources, part, expected)
        except FileDiffers:
            self._differing.append(file.id)
        except StoreUnavailable:
            # text first: the file stays expected and comes again later
            log.warning("file_left_expected", attachment_id=str(file.id))
        else:
            self.received[file.id] = Received(new_id(), stored, part.filename)


def _uuid(name: str) -> UUID:
    try:
        return UUID(name)
    except ValueError as unreadable:
        raise AttachmentNotListed(attachment=name) from unreadable
