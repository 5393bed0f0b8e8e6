"""The photos and the video of the demonstration: made on the spot, or the caller's own files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.core.db import new_id
from app.embedded.story_cast import Refused
from app.media.samples import photo, video

_KINDS = {
    ".jpg": "photo",
    ".jpeg": "photo",
    ".png": "photo",
    ".webp": "photo",
    ".heic": "photo",
    ".mp4": "video",
    ".mov": "video",
    ".3gp": "video",
    ".amr": "audio",
    ".m4a": "audio",
    ".wav": "audio",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One attachment; `kind`: photo, video or audio."""

    name: str
    kind: str
    content: bytes
    id: str = field(default_factory=lambda: str(new_id()))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def manifest(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "size": len(self.content),
            "sha256": self.sha256,
        }


def made_evidence(lon: float, lat: float) -> list[Evidence]:
    """Two photos with the place (WGS-84) in their EXIF and a short video, as a phone makes them."""
    now = datetime.now(UTC).astimezone()
    seed = int(now.timestamp())
    return [
        Evidence("现场1.jpg", "photo", photo(seed, lon, lat, now)),
        Evidence("现场2.jpg", "photo", photo(seed + 1, lon, lat, now)),
        Evidence("现场.mp4", "video", video(4.0, seed)),
    ]


def chosen_evidence(paths: Sequence[Path]) -> list[Evidence]:
    """Raises Refused for a file that is not there or of no kind that a report can hold."""
    return [_chosen(path) for path in paths]


def _chosen(path: Path) -> Evidence:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise Refused(f"{path}: 不支持的文件类型 not one of {', '.join(_KINDS)}")
    try:
        content = path.read_bytes()
    except OSError as failure:
        raise Refused(f"{path}: 无法读取 cannot be read ({failure.strerror})") from failure
    return Evidence(path.name, kind, content)
