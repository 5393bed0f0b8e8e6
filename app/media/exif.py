"""What a picture or a video says of itself: when and where it was taken. Pure.

Claims, not facts: the phone's clock and receiver wrote them, and anybody can change them.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from PIL.ExifTags import GPS, IFD, Base
from PIL.Image import Exif

from app.media.findings import Taken

_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")
_ISO6709 = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)")
_SEXAGESIMAL = 3
_DECIMALS = 7
"""A centimetre."""


def taken_of_picture(exif: Exif) -> Taken:
    """EXIF 2.32 §4.6.5, §4.6.6; what can't be read is left out."""
    details, gps = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    at = _instant(
        details.get(Base.DateTimeOriginal) or exif.get(Base.DateTime),
        details.get(Base.OffsetTimeOriginal) or details.get(Base.OffsetTime),
    )
    lat = _degrees(gps.get(GPS.GPSLatitude), gps.get(GPS.GPSLatitudeRef), "NS")
    lon = _degrees(gps.get(GPS.GPSLongitude), gps.get(GPS.GPSLongitudeRef), "EW")
    if not _is_on_earth(lon, lat):
        return Taken(at)
    return Taken(at, lon, lat, _line(gps.get(GPS.GPSMapDatum)))


def taken_of_video(metadata: Mapping[str, str]) -> Taken:
    """The tags of a QuickTime or MP4 container: ISO 8601 and ISO 6709."""
    written = metadata.get("com.apple.quicktime.creationdate") or metadata.get("creation_time")
    match = _TIME.match(written or "")
    offset = re.search(r"([+-]\d\d):?(\d\d)$", written or "")
    zone = f"{offset[1]}:{offset[2]}" if offset else "+00:00"  # the container's clock is UTC
    at = _checked(match, zone) if match else None
    where = metadata.get("com.apple.quicktime.location.ISO6709") or metadata.get("location") or ""
    place = _ISO6709.match(where)
    if place is None:
        return Taken(at)
    lat, lon = float(place[1]), float(place[2])
    return Taken(at, lon, lat) if _is_on_earth(lon, lat) else Taken(at)


def _instant(written: object, offset: object) -> str | None:
    match = _TIME.match(_line(written) or "")
    zone = _OFFSET.fullmatch(_line(offset) or "")
    return _checked(match, zone[0] if zone else "") if match else None


def _checked(match: re.Match[str], zone: str) -> str | None:
    """A camera whose clock was never set writes zeros, which is no time at all."""
    year, month, day, hour, minute, second = match.groups()
    if not (year >= "1990" and "01" <= month <= "12" and "01" <= day <= "31"):
        return None
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{zone}"


def _degrees(written: Any, reference: object, signs: str) -> float | None:  # noqa: ANN401 - whatever a file holds
    """Degrees, minutes, seconds; south and west are negative."""
    sign = _line(reference)
    if not sign or sign[0].upper() not in signs or not isinstance(written, tuple):
        return None
    try:
        parts = [float(part) for part in written[:_SEXAGESIMAL]]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    value: float = round(sum(part / 60**place for place, part in enumerate(parts)), _DECIMALS)
    return -value if sign[0].upper() == signs[1] else value


def _is_on_earth(lon: float | None, lat: float | None) -> bool:
    """0° 0' is what a receiver without a fix writes."""
    if lon is None or lat is None or not (math.isfinite(lon) and math.isfinite(lat)):
        return False
    return abs(lon) <= 180 and abs(lat) <= 90 and (lon, lat) != (0, 0)  # noqa: PLR2004 - the globe


def _line(written: object) -> str | None:
    if isinstance(written, bytes):
        written = written.decode("ascii", "replace")
    return written.strip("\0 ")[:40] if isinstance(written, str) else None
