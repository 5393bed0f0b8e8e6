import io
from datetime import datetime
from zoneinfo import ZoneInfo

import av
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from app.media import samples

TAKEN_AT = datetime(2026, 3, 11, 12, 30, 5, tzinfo=ZoneInfo("Asia/Shanghai"))


def test_the_photo_tells_where_and_when() -> None:
    with Image.open(io.BytesIO(samples.photo(1, 106.68, 35.54, TAKEN_AT))) as image:
        image.load()
        exif = image.getexif()
    place = exif.get_ifd(IFD.GPSInfo)
    degrees, minutes, seconds = place[GPS.GPSLongitude]
    assert abs(degrees + minutes / 60 + seconds / 3600 - 106.68) < 1e-6
    assert place[GPS.GPSLatitudeRef] == "N"
    assert exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2026:03:11 12:30:05"


def test_the_video_plays() -> None:
    with av.open(io.BytesIO(samples.video(2)), "r") as container:
        frames = len(list(container.decode(video=0)))
    assert frames == 30
