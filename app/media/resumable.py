"""The tus core: a request's bytes into parts and a tail, so that what has come is never sent again.

It knows no incident and no HTTP. An offset is answered only for bytes that the store has.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import structlog

from app.core.errors import SenderSilent, Unavailable
from app.core.pace import Pacing
from app.core.resources import Resources
from app.core.wakeups import Waiter, listening
from app.media.holding import RETRY_AFTER_S, Hold, wanted
from app.media.in_flight import BytesInFlight
from app.media.tus import Checksum
from app.media.upload_errors import ChecksummedTooLarge, UploadBusy, UploadOverflows
from app.media.writing import Writing

log = structlog.get_logger()


async def receive(
    resources: Resources,
    hold: Hold,
    incoming: AsyncIterator[bytes],
    checksum: Checksum | None = None,
) -> None:
    """Take the bytes in; what came is in the store when this returns, and when the sender failed.

    Raises what `incoming` raised, SenderSilent, UploadBusy, UploadOverflows, ChecksumMismatch,
    ChecksummedTooLarge, StoreUnavailable, UploadLost, Fenced.
    """
    writing = Writing(resources, hold)
    arriving = _Arriving(resources, hold, incoming)
    try:
        if checksum is not None:
            await _receive_checked(resources, writing, arriving, checksum)
        else:
            await _receive(writing, arriving)
    finally:
        writing.release()
    arriving.raise_failure()


async def _receive(writing: Writing, arriving: "_Arriving") -> None:
    async with aclosing(arriving.chunks()) as chunks:
        async for chunk in chunks:
            if writing.overflows(len(chunk)):
                await writing.give_up()
                raise UploadOverflows(length=writing.length)
            await writing.add(chunk)
    await writing.save()


async def _receive_checked(
    resources: Resources, writing: Writing, arriving: "_Arriving", checksum: Checksum
) -> None:
    """Hold the chunk back until it is known to be whole; half of one is nothing."""
    limit = resources.settings.uploads.checksummed_bytes
    in_flight = resources.the(BytesInFlight)
    body = bytearray()
    try:
        async with aclosing(arriving.chunks()) as chunks:
            async for chunk in chunks:
                await in_flight.take(len(chunk))
                body += chunk
                if len(body) > limit:
                    raise ChecksummedTooLarge(limit=limit)
                if writing.overflows(len(body)):
                    raise UploadOverflows(length=writing.length)
        arriving.raise_failure()
        whole = bytes(body)
        await asyncio.to_thread(checksum.check, whole)
    finally:
        in_flight.give(len(body))
    await writing.add(whole)
    await writing.save()


class _Arriving:
    """A sender's chunks, for as long as it sends and nobody else wants the upload."""

    def __init__(self, resources: Resources, hold: Hold, incoming: AsyncIterator[bytes]) -> None:
        self._resources = resources
        self._hold = hold
        self._incoming = incoming
        self._failure: Exception | None = None
        self._next: asyncio.Timeout | None = None
        self._told_to_end = False
        self._pacing = Pacing(resources.settings.intake.pace)

    def raise_failure(self) -> None:
        """What ended it before its end."""
        if self._failure is not None:
            raise self._failure

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Ends at the end of the body or at a failure, which is kept: first the bytes are saved."""
        with listening(self._resources.wakeups, wanted(self._hold.upload.id)) as waiter:
            watching = asyncio.create_task(self._watch(waiter), name="upload-watch")
            try:
                while (chunk := await self._chunk()) is not None:
                    yield chunk
            except Exception as failure:  # noqa: BLE001 - of any kind, the sender's link included
                self._failure = failure
            finally:
                watching.cancel()

    async def _chunk(self) -> bytes | None:
        try:
            async with self._pacing.waiting() as self._next:
                self._check_told()
                chunk = await anext(self._incoming, None)
        except TimeoutError:
            self._check_told()
            raise SenderSilent(headers={"Connection": "close"}) from None
        self._pacing.heard(len(chunk or b""))
        return chunk

    def _check_told(self) -> None:
        if self._resources.draining.is_set():
            raise Unavailable(headers={"Retry-After": RETRY_AFTER_S, "Connection": "close"})
        if self._told_to_end:
            raise UploadBusy(headers={"Retry-After": RETRY_AFTER_S, "Connection": "close"})

    async def _watch(self, waiter: Waiter) -> None:
        """Ends the wait for a chunk when somebody else wants the upload, or the process ends."""
        while not self._told_to_end:
            await waiter.wait(self._resources.settings.wakeups.poll_s)
            self._told_to_end = self._resources.draining.is_set() or await self._hold.has_to_end()
        if self._next is not None:
            with suppress(RuntimeError):  # it is not waiting just now and will look itself
                self._next.reschedule(asyncio.get_running_loop().time())
