"""The door to S3: what the product asks of an object store; `S3Store`, `MemoryStore` are it."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

MIN_PART_BYTES = 5 * 1024 * 1024
"""S3 refuses to complete an upload with a smaller part that is not the last one."""


class StoreUnavailable(Exception):  # noqa: N818 - names the fact
    """The store refused, failed or did not answer within its deadline."""


class StoreFull(StoreUnavailable):
    """The disk has no room for more files."""


class ObjectMissing(Exception):  # noqa: N818 - names the fact
    """There is no object under this key."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class UnfinishedParts:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    started_at: datetime


class ObjectStore(Protocol):
    """Keys are ASCII. Every method raises StoreUnavailable when the store can't be asked."""

    async def prepare(self) -> None:
        """Make the bucket if it is not there, with its lifecycle where supported."""

    async def put(self, key: str, body: bytes, content_type: str) -> None: ...

    async def start_parts(self, key: str, content_type: str) -> str:
        """Begin a multipart upload; returns its id."""
        ...

    async def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        """Part numbers start at 1; every part but the last has at least 5 MiB. Returns the ETag.

        Raises ObjectMissing when the upload is not known (any more).
        """
        ...

    async def complete_parts(self, key: str, upload_id: str, etags: Mapping[int, str]) -> None:
        """Make the object of its parts, number → ETag; numbers may be left out. Safe to repeat.

        Raises ObjectMissing for an unknown upload that left no object.
        """

    async def abort_parts(self, key: str, upload_id: str) -> None:
        """Forget the parts; an unknown upload is fine."""

    async def size(self, key: str) -> int:
        """Bytes stored under the key (HEAD). Raises ObjectMissing."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Chunks of bytes [start, end); nothing where the object ends before `start`.

        Raises ObjectMissing on the first chunk. Close it if it isn't read to its end.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete; a missing key is fine."""

    def list(self, prefix: str) -> AsyncIterator[StoredObject]: ...

    def unfinished(self, prefix: str) -> AsyncIterator[UnfinishedParts]:
        """Multipart uploads that a crash left behind, for the sweeper (M11)."""
        ...

    async def close(self) -> None: ...
