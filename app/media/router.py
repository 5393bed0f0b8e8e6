import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import structlog
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.core.http import RETRY_AFTER_S, TheResources, problems
from app.core.object_store import ObjectMissing, ObjectStore, StoreUnavailable
from app.media.dependencies import ShownFile, TheFile
from app.media.errors import FileNotFound, FileStoreUnavailable, LinkExpired, RangeNotSatisfiable
from app.media.watermark import watermarked

router = APIRouter(prefix="/files", tags=["files"])
log = structlog.get_logger()

_BYTES = {
    f"{kind}/*": {"schema": {"type": "string", "format": "binary"}}
    for kind in ("image", "video", "audio")
}
"""What a file is sent as is what its content was found to be (M12)."""
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": _BYTES},
    206: {"description": "The range of the file that was asked for", "content": _BYTES},
    **problems(LinkExpired, FileNotFound, RangeNotSatisfiable, FileStoreUnavailable),
}


class _FileResponse(StreamingResponse):
    """Lets go of the store's connection at once, also when the client leaves half-way."""

    def __init__(self, shown: ShownFile, body: AsyncGenerator[bytes, None]) -> None:
        super().__init__(body, shown.status, shown.headers)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._body.aclose()


@router.get(
    "/{file_id}/{variant}",  # noqa: FAST003 - the parameters are the dependency's
    response_class=StreamingResponse,
    responses=_ANSWERS,
)
async def download_file(resources: TheResources, shown: TheFile) -> Response:
    """The bytes of a file. The signature in the link is the permission; no token is needed."""
    body = _bytes_of(resources.store, shown)
    await anext(body)  # a store that is down is told before the headers are out
    if shown.mark:
        whole = b"".join([chunk async for chunk in body])
        marked = await asyncio.to_thread(watermarked, whole, shown.mark)
        return Response(marked, shown.status, shown.headers)
    return _FileResponse(shown, body)


@router.head(
    "/{file_id}/{variant}",  # noqa: FAST003 - the parameters are the dependency's
    response_class=Response,
    responses=_ANSWERS,
)
async def examine_file(shown: TheFile) -> Response:
    """The headers of `download_file`, without asking the store."""
    return Response(status_code=shown.status, headers=shown.headers)


async def _bytes_of(store: ObjectStore, shown: ShownFile) -> AsyncGenerator[bytes, None]:
    """Nothing once the store has answered, then the bytes."""
    chunks = store.read(shown.object_key, shown.span.start, shown.span.end)
    try:
        first = await anext(chunks, b"")
        yield b""
        yield first
        async for chunk in chunks:
            yield chunk
    except ObjectMissing as missing:
        log.error("object_missing", key=shown.object_key)  # noqa: TRY400 - the place is known
        raise FileNotFound from missing
    except StoreUnavailable as unavailable:
        raise FileStoreUnavailable(headers={"Retry-After": RETRY_AFTER_S}) from unavailable
    finally:
        await chunks.aclose()
