"""A child for each file: started, fed, waited for, and ended when its time is over (M13, M14).

One child a file, not a pool: Python and Pillow take 0.07-0.12 s to start (0.18 s with PyAV), a
photo of 12 megapixels a second; a child that lives on would carry the memory, the limits and the
damage of every file before.
"""

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from app.core.settings import JobsSettings
from app.media.findings import Picture, Refused

_ROOT = str(Path(__file__).resolve().parents[2])
_MOST_BYTES = 16 * 1024 * 1024
"""Of an answer: three pictures of at most 1600 pixels a side."""
_SPARE_S = 5
"""For starting, and for waiting while others have the processor."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`facts`: the fields of `Look`, but for the pictures."""

    facts: dict[str, Any]
    pictures: tuple[Picture, ...]


async def look_into(file: IO[bytes], content_type: str, settings: JobsSettings) -> Answer:
    """Have a child look into the file, from where it stands. Raises Refused."""
    asked = {
        "content_type": content_type,
        "pixels": settings.pixels,
        "side": settings.side,
        "memory_bytes": settings.memory_bytes,
        "seconds": settings.seconds,
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.media.looking",
        orjson.dumps(asked).decode(),
        stdin=file,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # nothing of ours is in its environment, and a signal for us does not reach it
        env={"PYTHONPATH": _ROOT, "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(settings.seconds + _SPARE_S):
            answer = await _read(child)
            status = await child.wait()
    except TimeoutError as late:
        raise Refused("too-much-time") from late
    finally:
        await _end(child)
    return _parsed(answer, status)


async def _read(child: asyncio.subprocess.Process) -> bytes:
    gathered = bytearray()
    while child.stdout is not None and (chunk := await child.stdout.read(1 << 16)):
        gathered += chunk
        if len(gathered) > _MOST_BYTES:
            raise Refused("too-much-memory")
    return bytes(gathered)


async def _end(child: asyncio.subprocess.Process) -> None:
    """A child never outlives its job, even a cancelled one."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _parsed(answer: bytes, status: int) -> Answer:
    """Raises Refused, also for a child that died without a word."""
    length = int.from_bytes(answer[:4], "big")
    if status != 0 or len(answer) < 4 + length or not length:
        raise Refused(_cause(status))
    facts = orjson.loads(answer[4 : 4 + length])
    if "refused" in facts:
        raise Refused(facts["refused"])
    pictures, start = [], 4 + length
    for variant, width, height, size in facts.pop("pictures"):
        pictures.append(Picture(variant, width, height, answer[start : start + size]))
        start += size
    return Answer(facts, tuple(pictures))


def _cause(status: int) -> str:
    """Of a child that ended otherwise; the kernel's word where it has one."""
    return {-24: "too-much-time", -9: "too-much-time", 1: "too-much-memory"}.get(
        status, "decoder-crashed"
    )
