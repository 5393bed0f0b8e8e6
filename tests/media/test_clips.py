"""Videos and recordings in the child: their length, their poster, and nothing they refer to."""

import asyncio
import io
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from app.core.settings import JobsSettings
from app.media import samples
from tests.media.watching import code_of, look, opened


def clip(
    suffix: str,
    codec: str = "libx264",
    size: tuple[int, int] = (320, 240),
    frames: int = 30,
    *,
    audio: str | None = None,
    metadata: dict[str, str] | None = None,
) -> bytes:
    """A video whose left half is black and whose right half is white."""
    buffer = io.BytesIO()
    image = Image.new("RGB", size, "black")
    image.paste("white", (size[0] // 2, 0, *size))
    with av.open(buffer, "w", format=suffix, options={"movflags": "use_metadata_tags"}) as out:
        out.metadata.update(metadata or {})
        video = out.add_stream(codec, rate=15)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        sound = out.add_stream(audio, rate=8000, layout="mono") if audio else None
        for _ in range(frames):
            out.mux(video.encode(av.VideoFrame.from_image(image)))  # type: ignore[no-untyped-call]
        out.mux(video.encode())
        if isinstance(sound, av.AudioStream):
            out.mux([packet for frame in _silence(frames) for packet in sound.encode(frame)])
            out.mux(sound.encode())
    return buffer.getvalue()


def _silence(frames: int) -> Iterator[av.AudioFrame]:
    for number in range(frames):
        frame = av.AudioFrame("s16", "mono", 160)
        frame.planes[0].update(bytes(320))
        frame.rate, frame.pts = 8000, number * 160
        yield frame


def turned(body: bytes, matrix: tuple[int, ...]) -> bytes:
    """The same video held otherwise: its track header's matrix (ISO/IEC 14496-12 §8.3.2)."""
    start = body.index(b"tkhd") + 44
    return body[:start] + struct.pack(">9i", *matrix) + body[start + 36 :]


async def test_a_video_is_told_and_shown_by_a_frame() -> None:
    answer = await look(samples.video(2), "video/mp4")
    facts = answer.facts
    assert (facts["width"], facts["height"], facts["codec"]) == (320, 240, "h264")
    assert facts["duration_s"] == pytest.approx(2, abs=0.1)
    assert opened(answer)["view"].size == (320, 240)
    assert opened(answer)["thumbnail"].size == (256, 192)


@pytest.mark.parametrize(
    ("suffix", "codec", "content_type"),
    [
        ("mp4", "libx264", "video/mp4"),
        ("mp4", "libx265", "video/mp4"),
        ("mov", "mpeg4", "video/quicktime"),
        ("3gp", "h263", "video/3gpp"),
        ("3g2", "mpeg4", "video/3gpp2"),
    ],
)
async def test_videos_of_every_kind(suffix: str, codec: str, content_type: str) -> None:
    body = clip(suffix, codec, (352, 288), audio="aac")  # one of the sizes that H.263 has
    answer = await look(body, content_type)
    assert opened(answer)["view"].size == (352, 288)
    assert answer.facts["duration_s"] == pytest.approx(2, abs=0.1)


async def test_a_video_that_was_held_upright_is_shown_upright() -> None:
    one = 0x10000
    body = turned(clip("mp4"), (0, one, 0, -one, 0, 0, 240 * one, 0, 0x40000000))
    answer = await look(body, "video/mp4")
    assert (answer.facts["width"], answer.facts["height"]) == (240, 320)
    grey = opened(answer)["view"].convert("L").tobytes()
    assert grey[10 * 240 + 120] < 60  # the left half, turned clockwise, is on top
    assert grey[310 * 240 + 120] > 200


async def test_m16_time_and_place_of_a_video_are_told_and_not_in_its_poster() -> None:
    written = {"creation_time": "2026-03-11T04:05:06Z", "location": "+35.5400+106.6800/"}
    answer = await look(clip("mp4", metadata=written), "video/mp4")
    taken = answer.facts["taken"]
    assert (taken["at"], taken["lon"], taken["lat"]) == ("2026-03-11T04:05:06+00:00", 106.68, 35.54)
    assert all(b"35.54" not in each.body for each in answer.pictures)


@pytest.mark.parametrize(
    ("suffix", "codec", "content_type"),
    [
        ("wav", "pcm_s16le", "audio/wav"),
        ("amr", "libopencore_amrnb", "audio/amr"),
        ("mp4", "aac", "audio/mp4"),
        ("3gp", "libopencore_amrnb", "audio/3gpp"),
    ],
)
async def test_a_recording_tells_how_long_it_is(suffix: str, codec: str, content_type: str) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=suffix) as out:
        stream = out.add_stream(codec, rate=8000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        out.mux([packet for frame in _silence(100) for packet in stream.encode(frame)])
        out.mux(stream.encode())
    answer = await look(buffer.getvalue(), content_type)
    assert answer.facts["duration_s"] == pytest.approx(2, abs=0.2)
    assert answer.pictures == ()


@pytest.mark.parametrize("content_type", ["video/mp4", "audio/amr", "audio/wav", "audio/mp4"])
@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile {path}\n",
        "#EXTM3U\n#EXTINF:10,\n{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/x\n#EXT-X-ENDLIST\n",
    ],
)
async def test_m14_a_playlist_is_nobody_s_video(
    tmp_path: Path, content_type: str, playlist: str
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(samples.video(1))
    body = playlist.format(path=other).encode().ljust(400)
    assert await code_of(body, content_type) == "undecodable"


async def test_m14_a_child_can_open_nothing_once_it_has_begun() -> None:
    """Neither a file nor a socket: its table of open files is full."""
    script = (
        "import socket, app.media.looking as l\n"
        "l._close_the_doors()\n"
        "for each in (lambda: open('/etc/hostname'), socket.socket):\n"
        "    try: each()\n"
        "    except OSError as refused: print(refused.errno)\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert out.split() == [b"24", b"24"]  # EMFILE


async def test_m13_a_video_has_the_same_limits() -> None:
    body = clip("mp4", size=(1280, 720), frames=3)
    assert await code_of(body, "video/mp4", JobsSettings(side=1024)) == "too-many-pixels"
    assert (await look(body, "video/mp4")).facts["width"] == 1280
