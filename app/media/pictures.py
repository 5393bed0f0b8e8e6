"""Pictures: a photo, or a frame of a video, made small, upright and free of what a camera wrote.

Runs in the child that `app.media.looking` is, and nowhere else.
"""

import io
import struct
from itertools import pairwise
from typing import IO

from PIL import (
    Image,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,  # noqa: F401 - a JPEG of several pictures is opened by it
    PngImagePlugin,
    WebPImagePlugin,
)

from app.media.exif import taken_of_picture
from app.media.findings import Limits, Look, Picture, Taken

VARIANTS = {"view": 1600, "preview": 640, "thumbnail": 256}
"""Longest side in pixels, from the largest to the smallest: each is made of the one before."""

FORMATS = {
    "image/jpeg": JpegImagePlugin.JpegImageFile.format,
    "image/png": PngImagePlugin.PngImageFile.format,
    "image/webp": WebPImagePlugin.WebPImageFile.format,
    "image/heic": "HEIF",
}
"""By content type the one format that Pillow may try."""
_QUALITY = 78
_ICC_BYTES = 4096
_HASH_SIDE = 8


def photo(file: IO[bytes], content_type: str, limits: Limits) -> Look:
    """Raises Refused, and whatever a decoder makes of a broken file."""
    # only the decoder of the type it was found to be: the other forty never see the file
    with Image.open(file, formats=[FORMATS[content_type]]) as image:
        width, height = image.size
        limits.check(width, height)
        taken = _taken(image)
        # a JPEG is decoded at an eighth, a quarter or a half where that is enough
        image.draft("RGB", (VARIANTS["view"], VARIANTS["view"]))
        found = shown(image)
    found.width, found.height, found.taken = width, height, taken
    found.codec = content_type.partition("/")[2]
    return found


def shown(image: Image.Image) -> Look:
    """The pictures of one picture: upright, in colours every client shows, nothing else in them."""
    profile = image.info.get("icc_profile") if image.mode == "RGB" else None
    image = _shrunk(_plain(image), VARIANTS["view"])
    _turn_upright(image)
    image = _on_white(image)
    found = Look(picture_hash=difference_hash(image))
    for variant, side in VARIANTS.items():
        image = _shrunk(image, side)
        found.pictures.append(Picture(variant, *image.size, _encoded(image, profile)))
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
