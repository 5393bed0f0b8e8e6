"""What a file link leads to: checked, looked up, with the range that was asked for."""

from dataclasses import dataclass, replace
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.http import Reading, TheResources
from app.media.errors import FileNotFound
from app.media.filenames import attachment, derived
from app.media.queries import derivative_of, stored_file
from app.media.ranges import Span, wanted_span
from app.media.viewing import Variant, verify

_SAFE = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}

Expires = Annotated[int, Query(ge=0, le=1 << 40, description="Unix seconds")]
Signature = Annotated[str, Query(max_length=64)]
Mark = Annotated[str, Query(max_length=100, description="Drawn over the picture; signed")]
Range = Annotated[str | None, Header(alias="Range", max_length=200)]
IfRange = Annotated[str | None, Header(max_length=200)]


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """What a link leads to: the original, or a picture made of it."""

    object_key: str
    size: int
    sha256: bytes
    content_type: str
    filename: str
    mark: str = ""
    """Who looks and when: drawn over the picture."""


@dataclass(frozen=True, slots=True)
class ShownFile:
    """Everything the answer needs, so that no database connection is held while bytes flow."""

    object_key: str
    span: Span
    status: int
    headers: dict[str, str]
    mark: str = ""


async def linked_file(
    resources: TheResources,
    session: Reading,
    file_id: UUID,
    variant: Variant,
    expires: Expires = 0,
    signature: Signature = "",
    mark: Mark = "",
) -> LinkedFile:
    """Raises FileNotFound, LinkExpired."""
    now = resources.clock.now()
    verify(resources.keys, file_id, variant, expires, signature, now=now, mark=mark)
    found = await (
        _original(session, file_id)
        if variant == "original"
        else _derivative(session, file_id, variant)
    )
    if found is None:
        raise FileNotFound
    return replace(found, mark=mark)


async def _original(session: AsyncSession, file_id: UUID) -> LinkedFile | None:
    file = await stored_file(session, file_id)
    if file is None or file.object_key is None or file.sha256 is None or file.size is None:
        return None
    content_type = file.content_type or "application/octet-stream"
    return LinkedFile(file.object_key, file.size, file.sha256, content_type, file.filename)


async def _derivative(session: AsyncSession, file_id: UUID, variant: Variant) -> LinkedFile | None:
    found = await derivative_of(session, file_id, variant)
    if found is None:
        return None
    picture, file = found
    name = derived(file.filename, "." + picture.content_type.partition("/")[2])
    return LinkedFile(picture.object_key, picture.size, picture.sha256, picture.content_type, name)


async def shown_file(
    request: Request,
    file: Annotated[LinkedFile, Depends(linked_file)],
    wanted: Range = None,
    if_range: IfRange = None,
) -> ShownFile:
    """Raises RangeNotSatisfiable. A picture that is drawn over is another every time: no ranges."""
    whole = Span(0, file.size, file.size)
    headers = {
        **_SAFE,
        "Content-Disposition": attachment(file.filename),
        "Content-Type": file.content_type,
    }
    if file.mark:
        return ShownFile(
            file.object_key, whole, 200, headers | {"Accept-Ranges": "none"}, file.mark
        )
    etag = f'"{file.sha256.hex()}"'
    # HEAD has no ranges (RFC 9110 §14.2)
    asked = wanted if request.method == "GET" else None
    span = wanted_span(asked, if_range, etag, file.size)
    headers["Content-Length"] = str(span.end - span.start if span else file.size)
    headers["ETag"] = etag
    if span is None:
        return ShownFile(file.object_key, whole, 200, headers)
    headers["Content-Range"] = span.content_range
    return ShownFile(file.object_key, span, 206, headers)


TheFile = Annotated[ShownFile, Depends(shown_file)]
