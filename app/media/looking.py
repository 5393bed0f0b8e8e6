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
import struct
import sys
import warnings
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import IO, Any

from PIL import Image, ImageOps, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin

from app.media.exif import Taken, taken_of_picture

VARIANTS = {"view": 1600, "preview": 640, "thumbnail": 256}
"""Longest side in pixels, from the largest to the smallest: each is made of the one before."""

_FORMATS = {
    "image/jpeg": JpegImagePlugin.JpegImageFile.format,
    "image/png": PngImagePlugin.PngImageFile.format,
    "image/webp": WebPImagePlugin.WebPImageFile.format,
    "image/heic": "HEIF",
}
_QUALITY = 78
_ICC_BYTES = 4096
_NICE = 10
_HASH_SIDE = 8


class Refused(Exception):  # noqa: N818 - names the fact
    """The file is one we do not decode; the text is the code that says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost: picture elements, bytes, seconds."""

    pixels: int
    side: int
    memory_bytes: int
    seconds: int


@dataclass(slots=True)
class Look:
    """What was found, and the pictures that were made: `(variant, width, height, bytes)`."""

    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    codec: str | None = None
    picture_hash: int | None = None
    taken: Taken = field(default_factory=Taken)
    pictures: list[tuple[str, int, int, bytes]] = field(default_factory=list)


def look(file: IO[bytes], content_type: str, limits: Limits) -> Look:
    """Raises Refused, and whatever a decoder makes of a broken file."""
    if content_type in _FORMATS:
        return _picture(file, content_type, limits)
    raise Refused("not-a-picture")


def _picture(file: IO[bytes], content_type: str, limits: Limits) -> Look:
    # only the decoder of the type it was found to be: the other forty never see the file
    with Image.open(file, formats=[_FORMATS[content_type]]) as image:
        width, height = image.size
        check_pixels(width, height, limits)
        taken = _taken(image)
        # a JPEG is decoded at an eighth, a quarter or a half where that is enough
        image.draft("RGB", (VARIANTS["view"], VARIANTS["view"]))
        found = shown(image)
    found.width, found.height, found.taken = width, height, taken
    found.codec = content_type.partition("/")[2]
    return found


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """By the header, before anything is decoded (M13). Raises Refused."""
    if max(width, height) > limits.side or width * height > limits.pixels:
        raise Refused("too-many-pixels")


def shown(image: Image.Image) -> Look:
    """The pictures of one picture: upright, in colours every client shows, nothing else in them."""
    profile = image.info.get("icc_profile") if image.mode == "RGB" else None
    image = _shrunk(_plain(image), VARIANTS["view"])
    _turn_upright(image)
    image = _on_white(image)
    found = Look(picture_hash=difference_hash(image))
    for variant, side in VARIANTS.items():
        image = _shrunk(image, side)
        found.pictures.append((variant, *image.size, _encoded(image, profile)))
    return found


def _plain(image: Image.Image) -> Image.Image:
    """In a mode that can be scaled: not a palette, not black and white, not 16 or 32 bits."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"1", "F"}:
        return image.convert("L")
    if image.mode in {"P", "PA"}:
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):
        image.info.pop("exif", None)  # broken EXIF names no orientation


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in {"RGBA", "LA"}:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


def _encoded(image: Image.Image, profile: object) -> bytes:
    """WebP without EXIF, XMP or comments (M16); a short colour profile stays."""
    image.info.clear()
    known = profile if isinstance(profile, bytes) and len(profile) <= _ICC_BYTES else None
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=4, icc_profile=known)
    return buffer.getvalue()


def difference_hash(image: Image.Image) -> int:
    """64 bits, signed: whether each of 8 x 8 fields is brighter than its neighbour.

    Two pictures of one scene differ in few bits, whatever their size and compression.
    """
    grey = image.convert("L").resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.LANCZOS)
    rows = [grey.crop((0, y, _HASH_SIDE + 1, y + 1)).tobytes() for y in range(_HASH_SIDE)]
    bits = [left > right for row in rows for left, right in pairwise(row)]
    value = sum(bit << place for place, bit in enumerate(bits))
    return value - (1 << 64) if value >> 63 else value


def _taken(image: Image.Image) -> Taken:
    try:
        return taken_of_picture(image.getexif())
    except Exception:  # noqa: BLE001 - a picture whose EXIF is broken is a picture all the same
        return Taken()


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


def _prepare(content_type: str, limits: Limits) -> None:
    """Load all that is needed while files can still be opened."""
    MpoImagePlugin.MpoImageFile  # noqa: B018 - a JPEG of several pictures is opened by it
    Image.MAX_IMAGE_PIXELS = limits.pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    # other formats would be loaded on demand, from files
    Image.preinit()
    if content_type == "image/heic":
        import pi_heif  # noqa: PLC0415 - only for the files that need it

        pi_heif.register_heif_opener(decode_threads=1, thumbnails=False)


def _answer(content_type: str, limits: Limits) -> Look | str:
    try:
        return look(io.BufferedReader(io.FileIO(0, closefd=False)), content_type, limits)
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
        head = asdict(found)
        head["taken"] = found.taken._asdict()
        head["pictures"] = [(*told, len(body)) for *told, body in found.pictures]
        bodies = [body for *_, body in found.pictures]
    encoded = json.dumps(head).encode()
    with io.FileIO(1, "w", closefd=False) as out, io.BufferedWriter(out) as writer:
        writer.writelines((len(encoded).to_bytes(4, "big"), encoded, *bodies))


def main() -> None:
    given = json.loads(sys.argv[1])
    content_type, limits = given.pop("content_type"), Limits(**given)
    _confine(limits)
    _prepare(content_type, limits)
    _close_the_doors()
    _write(_answer(content_type, limits))


if __name__ == "__main__":
    main()
