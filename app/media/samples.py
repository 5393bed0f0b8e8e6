"""Real media made on the spot, for the demonstration and the tests: nobody's photo is shipped."""

import io
import random
import wave
from datetime import datetime
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFilter
from PIL.ExifTags import GPS, IFD, Base

_WIDTH, _HEIGHT = 1280, 960
_RATE = 15
_FRAME = (320, 240)
_ENCODERS = ("libx264", "libopenh264", "mpeg4")
_SAMPLE_RATE = 8000


def photo(seed: int, lon: float, lat: float, taken_at: datetime) -> bytes:
    """A JPEG of some 100–400 kB with EXIF: place (WGS-84 degrees), local time, a phone's name."""
    buffer = io.BytesIO()
    _scene(seed, (_WIDTH, _HEIGHT)).save(buffer, "JPEG", quality=82, exif=_exif(lon, lat, taken_at))
    return buffer.getvalue()


def picture(seed: int, suffix: str = "png", size: tuple[int, int] = (320, 240)) -> bytes:
    """A small picture without EXIF: `png`, `webp` or `jpeg`."""
    buffer = io.BytesIO()
    _scene(seed, size).save(buffer, suffix.upper())
    return buffer.getvalue()


def video(seconds: float, seed: int = 1) -> bytes:
    """An MP4 of a camera moving over a scene, 320 x 240, 15 frames a second, without sound."""
    buffer = io.BytesIO()
    wide = _scene(seed, (_FRAME[0] * 2, _FRAME[1]))
    frames = max(1, round(seconds * _RATE))
    with av.open(buffer, "w", format="mp4") as container:
        stream = _video_stream(container)
        for number in range(frames):
            left = number * _FRAME[0] // frames
            image = wide.crop((left, 0, left + _FRAME[0], _FRAME[1]))
            frame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]  # not annotated there
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def _video_stream(container: OutputContainer) -> VideoStream:
    """With the best encoder of this build."""
    encoder = next(name for name in _ENCODERS if name in av.codecs_available)
    stream = container.add_stream(encoder, rate=Fraction(_RATE))
    if not isinstance(stream, VideoStream):
        raise TypeError(encoder)
    stream.width, stream.height = _FRAME
    stream.pix_fmt = "yuv420p"
    return stream


def sound(seconds: float, seed: int = 1) -> bytes:
    """A WAV of quiet noise, 8 kHz, 16 bits, one channel."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SAMPLE_RATE)
        file.writeframes(_source(seed).randbytes(int(seconds * _SAMPLE_RATE) * 2))
    return buffer.getvalue()


def _source(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a picture, not a secret: the same seed, the same bytes


def _scene(seed: int, size: tuple[int, int]) -> Image.Image:
    """A street under a sky, with the grain of a cheap camera."""
    source = _source(seed)
    width, height = size
    sky = Image.linear_gradient("L").resize(size)
    image = Image.merge(
        "RGB", (sky.point(lambda v: 90 + v // 3), sky, sky.point(lambda v: 255 - v))
    )
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        left, top = source.randrange(width), source.randrange(height // 3, height * 3 // 4)
        shade = source.randrange(60, 190)
        broad = source.randrange(width // 16, width // 6)
        draw.rectangle((left, top, left + broad, height * 4 // 5), (shade, shade - 20, shade - 35))
    draw.rectangle((0, height * 4 // 5, width, height), (82, 80, 78))
    grain = Image.frombytes("L", size, source.randbytes(width * height))
    grain = grain.filter(ImageFilter.GaussianBlur(1))
    return Image.blend(image, Image.merge("RGB", (grain, grain, grain)), 0.15)


def _exif(lon: float, lat: float, taken_at: datetime) -> Image.Exif:
    exif = Image.Exif()
    stamp = taken_at.strftime("%Y:%m:%d %H:%M:%S")
    exif[Base.Make], exif[Base.Model], exif[Base.DateTime] = "Etong", "E1", stamp
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = stamp
    place = exif.get_ifd(IFD.GPSInfo)
    place[GPS.GPSLatitudeRef] = "N" if lat >= 0 else "S"
    place[GPS.GPSLatitude] = _sexagesimal(lat)
    place[GPS.GPSLongitudeRef] = "E" if lon >= 0 else "W"
    place[GPS.GPSLongitude] = _sexagesimal(lon)
    return exif


def _sexagesimal(degrees: float) -> tuple[float, float, float]:
    """Degrees, minutes, seconds, as EXIF wants them."""
    minutes, seconds = divmod(abs(degrees) * 3600, 60)
    whole, rest = divmod(minutes, 60)
    return whole, rest, round(seconds, 4)
