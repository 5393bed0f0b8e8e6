"""The child that looks into one file, and ends: decoding hostile bytes is nobody else's work.

    python -m app.media.looking '{"content_type": …, "pixels": …}' < file > answer

Started by `app.media.children`. It gives itself its limits before it reads a byte: memory, CPU
time, a lower priority, and not one file or socket more than the two it was given. The answer is
the length of a JSON object (4 bytes, big-endian), the object, and the pictures one after the other.
"""

import io
import json
import os
import resource
import sys
import warnings
from collections.abc import Callable
from typing import IO, Any

from PIL import Image

from app.media.findings import Limits, Look, Refused
from app.media.pictures import photo

_NICE = 10
FACTS = ("width", "height", "duration_s", "codec", "picture_hash")


Decoder = Callable[[IO[bytes], str, Limits], Look]
"""Raises Refused, and whatever it makes of a broken file."""


def _confine(limits: Limits) -> None:
    """Memory, CPU time, no core dump, no written file, the back of the queue for the processor."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)


def _close_the_doors() -> None:
    """Nothing can be opened any more: no file of a playlist, no socket (M14)."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _decoder(content_type: str, limits: Limits) -> Decoder:
    """Load all that is needed while files can still be opened."""
    Image.MAX_IMAGE_PIXELS = limits.pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.preinit()  # else saving would load the usual formats
    if content_type.startswith("image/"):
        if content_type == "image/heic":
            import pi_heif  # noqa: PLC0415 - only for the files that need it

            pi_heif.register_heif_opener(decode_threads=1, thumbnails=False)
        return photo
    from app.media.clips import clip  # noqa: PLC0415 - FFmpeg takes a tenth of a second to load

    return clip


def _answer(decode: Decoder, content_type: str, limits: Limits) -> Look | str:
    try:
        return decode(io.BufferedReader(io.FileIO(0, closefd=False)), content_type, limits)
    except Refused as refused:
        return str(refused)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "too-many-pixels"
    except MemoryError:
        return "too-much-memory"
    except Exception:  # noqa: BLE001 - decoders raise anything for a file that is broken
        return "undecodable"


def _write(found: Look | str) -> None:
    if isinstance(found, str):
        head: dict[str, Any] = {"refused": found}
        bodies: list[bytes] = []
    else:
        head = {name: getattr(found, name) for name in FACTS}
        bodies = [picture.body for picture in found.pictures]
        head |= {
            "taken": found.taken._asdict(),
            "pictures": [(*p[:3], len(p.body)) for p in found.pictures],
        }
    encoded = json.dumps(head).encode()
    with io.FileIO(1, "w", closefd=False) as out, io.BufferedWriter(out) as writer:
        writer.writelines((len(encoded).to_bytes(4, "big"), encoded, *bodies))


def main() -> None:
    given = json.loads(sys.argv[1])
    content_type, limits = given.pop("content_type"), Limits(**given)
    _confine(limits)
    decode = _decoder(content_type, limits)
    _close_the_doors()
    _write(_answer(decode, content_type, limits))


if __name__ == "__main__":
    main()
