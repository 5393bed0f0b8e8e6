"""What a file is, judged by its content and never by what the client calls it (M12). Pure."""

from dataclasses import dataclass
from typing import Literal

from app.core.settings import IntakeSettings
from app.media.errors import MediaTypeRefused

Kind = Literal["photo", "video", "audio"]

SNIFF_BYTES = 64
"""Enough of a file's beginning to judge it."""

_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF = {b"mif1", b"msf1"}
_M4A = {b"M4A ", b"M4B ", b"M4P "}
_MP4 = {b"mp41", b"mp42", b"avc1", b"M4V ", b"MSNV", b"dash", b"mmp4", b"XAVC", b"isom"} | {
    f"iso{digit}".encode() for digit in range(2, 10)
}


@dataclass(frozen=True, slots=True)
class ContentType:
    """A type on the allow-list, and what it is called when the container holds sound only."""

    name: str
    kind: Kind
    as_audio: str | None = None


_PHOTO_JPEG = ContentType("image/jpeg", "photo")
_PHOTO_PNG = ContentType("image/png", "photo")
_PHOTO_WEBP = ContentType("image/webp", "photo")
_PHOTO_HEIC = ContentType("image/heic", "photo")
_VIDEO_MP4 = ContentType("video/mp4", "video", "audio/mp4")
_VIDEO_MOV = ContentType("video/quicktime", "video")
_VIDEO_3GP = ContentType("video/3gpp", "video", "audio/3gpp")
_VIDEO_3G2 = ContentType("video/3gpp2", "video", "audio/3gpp2")
_AUDIO_M4A = ContentType("audio/mp4", "audio")
_AUDIO_WAV = ContentType("audio/wav", "audio")

_PREFIXES = (
    (b"\xff\xd8\xff", _PHOTO_JPEG),
    (b"\x89PNG\r\n\x1a\n", _PHOTO_PNG),
    (b"#!AMR\n", ContentType("audio/amr", "audio")),
    (b"#!AMR-WB\n", ContentType("audio/amr-wb", "audio")),
)
_RIFF = {b"WEBP": _PHOTO_WEBP, b"WAVE": _AUDIO_WAV}


def sniff(first: bytes) -> ContentType | None:
    """The type of a file that begins so (`SNIFF_BYTES` of it); None: not on the allow-list."""
    for prefix, found in _PREFIXES:
        if first.startswith(prefix):
            return found
    if first[:4] == b"RIFF":
        return _RIFF.get(first[8:12])
    if first[4:8] == b"ftyp":
        return _boxed(first)
    return None


def _boxed(first: bytes) -> ContentType | None:
    """ISO base media (ISO/IEC 14496-12 §4.3): the major brand decides, else the compatible ones."""
    length = int.from_bytes(first[:4], "big")
    compatible = [first[start : start + 4] for start in range(16, min(length, len(first)), 4)]
    major = first[8:12]
    if major in _HEIF:
        return _PHOTO_HEIC if _HEIC.intersection(compatible) else None
    if major == b"avif":
        return None
    return next(filter(None, map(_branded, (major, *compatible))), None)


def _branded(brand: bytes) -> ContentType | None:
    families = ((_HEIC, _PHOTO_HEIC), (_M4A, _AUDIO_M4A), (_MP4, _VIDEO_MP4))
    for brands, found in families:
        if brand in brands:
            return found
    if brand == b"qt  ":
        return _VIDEO_MOV
    if brand[:3] == b"3g2":
        return _VIDEO_3G2
    return _VIDEO_3GP if brand[:2] == b"3g" else None


def judge(first: bytes, kind: Kind | None = None) -> tuple[str, Kind]:
    """Content type and kind of a file that begins so.

    `kind` is what the manifest calls it: a phone records voice into containers made for video, so
    such a file is `audio` where it is meant to be. Raises MediaTypeRefused.
    """
    found = sniff(first)
    if found is None:
        raise MediaTypeRefused
    if kind == "audio" and found.as_audio is not None:
        return found.as_audio, "audio"
    if kind not in {None, found.kind}:
        raise MediaTypeRefused
    return found.name, found.kind


def size_limit(kind: Kind, limits: IntakeSettings) -> int:
    """Bytes a file of this kind may have."""
    return limits.video_bytes if kind == "video" else limits.picture_bytes
