"""Clips: what a video or a recording is, and the one frame that stands for it.

Runs in the child that `app.media.looking` is, and nowhere else. The demuxer is the one of the type
that was found: no playlist and no list of other files is ever read (M14). PyAV would load its
parts when they are first needed, which is when nothing can be opened any more: they are named here.
"""

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import av
import av.audio.codeccontext
import av.audio.stream
import av.sidedata.sidedata
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext
import av.video.reformatter
import av.video.stream
from PIL import Image

from app.media.exif import taken_of_video
from app.media.findings import Limits, Look
from app.media.pictures import VARIANTS, shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DEMUXERS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/3gpp": "mov",
    "video/3gpp2": "mov",
    "audio/mp4": "mov",
    "audio/3gpp": "mov",
    "audio/3gpp2": "mov",
    "audio/amr": "amr",
    "audio/amr-wb": "amr",
    "audio/wav": "wav",
}
"""By content type the one demuxer that FFmpeg may use."""
_POSTER_S = 1.0
"""A phone is still being lifted in the first frames."""
_MOST_FRAMES = 120
_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def clip(file: IO[bytes], content_type: str, limits: Limits) -> Look:
    """Raises Refused, and whatever a decoder makes of a broken file."""
    options = {"protocol_whitelist": "file"}
    demuxer = DEMUXERS[content_type]
    with av.open(
        file, "r", format=demuxer, options=options, metadata_errors="replace"
    ) as container:
        taken = taken_of_video(container.metadata)
        if content_type.startswith("audio/"):
            found = Look(codec=_codec(container), duration_s=_duration_s(container))
        else:
            found = _video(container, limits)
        found.taken = taken
    return found


def _codec(container: "InputContainer") -> str | None:
    return next((stream.codec_context.name for stream in container.streams.audio), None)


def _duration_s(container: "InputContainer") -> float | None:
    """By the header, else by walking over the packets, which are not decoded."""
    if container.duration:
        return round(container.duration / av.time_base, 3)
    end = 0.0
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return round(end, 3) or None


def _video(container: "InputContainer", limits: Limits) -> Look:
    duration_s = round(container.duration / av.time_base, 3) if container.duration else None
    if not container.streams.video:
        return Look(codec=_codec(container), duration_s=duration_s)
    stream = container.streams.video[0]
    limits.check(stream.width, stream.height)
    # a thread for each core would take the memory of each
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    frame = _poster(container, stream, min(_POSTER_S, (duration_s or 0) / 2))
    limits.check(frame.width, frame.height)
    found = shown(_upright(frame))
    turned = frame.rotation % 180 != 0
    found.width, found.height = (
        (frame.height, frame.width) if turned else (frame.width, frame.height)
    )
    found.codec, found.duration_s = stream.codec_context.name, duration_s
    return found


def _poster(container: "InputContainer", stream: "VideoStream", after_s: float) -> "VideoFrame":
    """The first frame after so many seconds, or the last; ValueError without one."""
    latest = None
    for latest in _frames(container, stream):
        if latest.time is not None and latest.time >= after_s:
            break
    if latest is None:
        raise ValueError("no frame")
    return latest


def _frames(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """The first frames; what comes before a broken one is still worth showing."""
    shown_any = False
    try:
        for number, frame in enumerate(container.decode(stream)):
            yield frame
            shown_any = True
            if number >= _MOST_FRAMES:
                return
    except av.FFmpegError:
        if not shown_any:
            raise


def _upright(frame: "VideoFrame") -> Image.Image:
    scale = min(1.0, VARIANTS["view"] / max(frame.width, frame.height))
    width, height = round(frame.width * scale) or 1, round(frame.height * scale) or 1
    image: Image.Image = frame.to_image(width=width, height=height)  # type: ignore[no-untyped-call]  # not annotated there
    turn = _TURNS.get(frame.rotation % 360)
    return image.transpose(turn) if turn is not None else image
