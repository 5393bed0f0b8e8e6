"""The headers of tus 1.0.0, read and judged before any byte of a body. Pure.

Source: https://tus.io/protocols/resumable-upload (core and the extensions of `EXTENSIONS`).
"""

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from app.core.settings import UploadSettings
from app.media.errors import FileTooLarge
from app.media.filenames import cleaned
from app.media.upload_errors import (
    ChecksumMismatch,
    ChecksumUnusable,
    OffsetInvalid,
    OffsetStreamExpected,
    TusVersionUnsupported,
    UploadLengthInvalid,
    UploadMetadataInvalid,
)

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination"
ALGORITHMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
OFFSET_STREAM = "application/offset+octet-stream"
_MOST = 1 << 53
_DIGEST_HEX = 64


@dataclass(frozen=True, slots=True)
class Claims:
    """What `Upload-Metadata` says that means something to us."""

    raw: str | None = None
    incident_id: UUID | None = None
    attachment_id: UUID | None = None
    sha256: bytes | None = None
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Checksum:
    """`Upload-Checksum` of one chunk."""

    algorithm: str
    digest: bytes

    def check(self, chunk: bytes) -> None:
        """Blocks for as long as it takes to hash. Raises ChecksumMismatch."""
        if not hmac.compare_digest(ALGORITHMS[self.algorithm](chunk).digest(), self.digest):
            raise ChecksumMismatch


def capabilities(limits: UploadSettings) -> dict[str, str]:
    """Headers of the answer to OPTIONS."""
    return {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Max-Size": str(limits.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        "Tus-Extension": EXTENSIONS,
    }


def check_version(headers: Mapping[str, str]) -> None:
    """Raises TusVersionUnsupported."""
    if headers.get("tus-resumable") != VERSION:
        raise TusVersionUnsupported(headers={"Tus-Version": VERSION})


def is_offset_stream(headers: Mapping[str, str]) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == OFFSET_STREAM


def check_stream(headers: Mapping[str, str]) -> None:
    """Raises OffsetStreamExpected."""
    if not is_offset_stream(headers):
        raise OffsetStreamExpected(headers={"Accept-Patch": OFFSET_STREAM})


def offset_of(headers: Mapping[str, str]) -> int:
    """Raises OffsetInvalid."""
    offset = _number(headers.get("upload-offset"))
    if offset is None:
        raise OffsetInvalid
    return offset


def length_of(headers: Mapping[str, str], limits: UploadSettings) -> int | None:
    """The length of a new upload; None: it is deferred.

    Raises UploadLengthInvalid, FileTooLarge.
    """
    deferred = headers.get("upload-defer-length")
    if deferred is not None:
        if deferred != "1" or "upload-length" in headers:
            raise UploadLengthInvalid
        return None
    length = late_length_of(headers, limits)
    if length is None:
        raise UploadLengthInvalid
    return length


def late_length_of(headers: Mapping[str, str], limits: UploadSettings) -> int | None:
    """`Upload-Length`, which may come late. Raises UploadLengthInvalid, FileTooLarge."""
    given = headers.get("upload-length")
    if given is None:
        return None
    length = _number(given)
    if length is None:
        raise UploadLengthInvalid
    if length > limits.max_bytes:
        raise FileTooLarge(limit=limits.max_bytes)
    return length


def checksum_of(headers: Mapping[str, str]) -> Checksum | None:
    """Raises ChecksumUnusable."""
    given = headers.get("upload-checksum")
    if given is None:
        return None
    algorithm, _, encoded = given.partition(" ")
    try:
        digest = b64decode(encoded.strip(), validate=True)
    except binascii.Error as broken:
        raise ChecksumUnusable from broken
    known = ALGORITHMS.get(algorithm)
    if known is None or len(digest) != known().digest_size:
        raise ChecksumUnusable
    return Checksum(algorithm, digest)


def claims_of(raw: str | None, limits: UploadSettings) -> Claims:
    """Raises UploadMetadataInvalid."""
    if raw is None or not raw.strip():
        return Claims(raw)
    if len(raw) > limits.metadata_bytes:
        raise UploadMetadataInvalid
    pairs = [_pair(item.strip()) for item in raw.split(",")]
    told = dict(pairs)
    if len(told) != len(pairs) or len(pairs) > limits.metadata_keys:
        raise UploadMetadataInvalid
    incident_id, attachment_id = _uuid(told, "incident_id"), _uuid(told, "attachment_id")
    if incident_id is not None and attachment_id is None:
        raise UploadMetadataInvalid
    name = told.get("filename") or told.get("name")
    return Claims(
        raw,
        incident_id,
        attachment_id,
        _digest(told),
        cleaned(name.decode("utf-8", "replace")) if name else None,
    )


def _pair(item: str) -> tuple[str, bytes]:
    key, _, encoded = item.partition(" ")
    if not key or not key.isascii():
        raise UploadMetadataInvalid
    try:
        return key, b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError) as broken:
        raise UploadMetadataInvalid from broken


def _uuid(told: Mapping[str, bytes], key: str) -> UUID | None:
    if not told.get(key):
        return None
    try:
        return UUID(told[key].decode("ascii"))
    except ValueError as broken:
        raise UploadMetadataInvalid from broken


def _digest(told: Mapping[str, bytes]) -> bytes | None:
    """In hex, as the manifest has it."""
    given = told.get("sha256")
    if not given:
        return None
    try:
        digest = bytes.fromhex(given.decode("ascii"))
    except ValueError as broken:
        raise UploadMetadataInvalid from broken
    if len(given) != _DIGEST_HEX:
        raise UploadMetadataInvalid
    return digest


def _number(given: str | None) -> int | None:
    if given is None or not (given.isascii() and given.isdecimal()) or len(given) > len(str(_MOST)):
        return None
    return int(given)
