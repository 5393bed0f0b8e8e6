"""Header values of multipart requests, read as clients really write them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.media.errors import (
    BoundaryMissing,
    BoundaryTooLong,
    MultipartExpected,
    MultipartMalformed,
    MultipartNested,
    TransferEncodingRefused,
)
from app.media.filenames import cleaned, decoded_extended

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:\\"|[^"])*"|[^;"]*)\s*')
_TRAILING = re.compile(r"[;\s]*")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]")
_PLAIN_ENCODINGS = {"7bit", "8bit", "binary"}
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Head:
    """What a part's headers say. Nothing in it is to be trusted."""

    name: str
    filename: str | None
    content_type: str
    charset: str | None

    @property
    def is_file(self) -> bool:
        """A part with a file's name, or of a type that is not text.

        JSON never is one: a browser gives a Blob of JSON the name `blob`.
        """
        if self.content_type == "application/json":
            return False
        return self.filename is not None or not self.content_type.startswith("text/")


def parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """`form-data; name="a"` → ("form-data", {"name": "a"}), names in lower case.

    Only an escaped quote is unescaped: a browser sends other backslashes as they are.
    Raises MultipartMalformed, also for a parameter that is there twice.
    """
    main, separator, rest = value.partition(";")
    rest = separator + rest
    found: dict[str, str] = {}
    position = 0
    while match := _PARAMETER.match(rest, position):
        key, raw = match[1].lower(), match[2].strip()
        if key in found:
            raise MultipartMalformed
        found[key] = raw[1:-1].replace('\\"', '"') if raw.startswith('"') else raw
        position = match.end()
    if not _TRAILING.fullmatch(rest, position):
        raise MultipartMalformed
    return main.strip().lower(), found


def boundary_of(content_type: str, limit: int) -> bytes:
    """The boundary of a multipart/form-data Content-Type, at most `limit` bytes.

    Raises MultipartExpected, BoundaryMissing, BoundaryTooLong, MultipartMalformed.
    """
    kind, found = parameters(content_type)
    if kind != "multipart/form-data":
        raise MultipartExpected
    boundary = found.get("boundary", "")
    if len(boundary) > limit:
        raise BoundaryTooLong(limit=limit)
    if not _BOUNDARY.fullmatch(boundary):
        raise BoundaryMissing
    return boundary.encode("ascii")


def head_of(headers: Mapping[str, bytes]) -> Head:
    """The part's head, of its headers by lower-case name.

    Raises MultipartMalformed, MultipartNested, TransferEncodingRefused.
    """
    if any(_CONTROLS.search(value) for value in headers.values()):
        raise MultipartMalformed
    kind, found = parameters(_text(headers.get("content-disposition", b"")))
    if kind != "form-data" or "name" not in found:
        raise MultipartMalformed
    _refuse_encoded(headers)
    content_type, charset = _content_type(headers)
    return Head(_unescaped(found["name"]), _filename(found), content_type, charset)


def _refuse_encoded(headers: Mapping[str, bytes]) -> None:
    encoding = _text(headers.get("content-transfer-encoding", b"binary")).lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise TransferEncodingRefused


def _content_type(headers: Mapping[str, bytes]) -> tuple[str, str | None]:
    if "content-type" not in headers:
        return "text/plain", None
    kind, found = parameters(_text(headers["content-type"]))
    if kind.startswith("multipart/"):
        raise MultipartNested
    return kind or "application/octet-stream", found.get("charset")


def _filename(found: Mapping[str, str]) -> str | None:
    """`filename` wins over `filename*`; either makes the part a file."""
    if "filename" in found:
        return cleaned(_unescaped(found["filename"]))
    if "filename*" in found:
        return cleaned(decoded_extended(found["filename*"]))
    return None


def _unescaped(text: str) -> str:
    """The only three escapes of the HTML standard's form encoding; any other % is a %."""
    for escape, character in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        text = text.replace(escape, character).replace(escape.lower(), character)
    return text


def _text(raw: bytes) -> str:
    """UTF-8, else GB18030 (old Chinese phones), else with replacement characters.

    The whole value is decoded before it is taken apart: the second byte of a GBK character can be
    a backslash.
    """
    for charset in ("utf-8", "gb18030"):
        try:
            return raw.decode(charset).strip()
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "replace").strip()
