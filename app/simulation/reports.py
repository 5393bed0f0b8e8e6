"""What simulated phones report: made at capture, and the same bytes at every repeat."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from app.core.clock import SystemClock
from app.core.db import new_id
from app.media.samples import photo, picture

Camera = Callable[[int], bytes]
"""A number in, the bytes of a JPEG out."""

_TOWN = (106.68, 35.54)
"""Longitude and latitude (WGS-84) of 柳湖镇."""
_MATTERS = (
    ("0201", "楼道堆放杂物，堵塞消防通道"),
    ("0102", "邻里因滴水问题争吵，需要调解"),
    ("0204", "路口信号灯不亮，存在隐患"),
    ("0209", "山坡落石滚到路边，请来查看"),
    ("0202", "村口电线垂落，离地不足两米"),
)


@dataclass(frozen=True, slots=True)
class Photo:
    """`sha256` in hex, over the bytes as the phone has them."""

    id: UUID
    body: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class MadeReport:
    """`meta` is the JSON as it goes out; a repeat sends these very bytes again."""

    id: UUID
    meta: bytes
    photos: tuple[Photo, ...]

    @property
    def boundary(self) -> str:
        return f"etong-{self.id.hex}"

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    def multipart(self) -> bytes:
        """First part `meta`, then one part a photo, named by its id."""
        parts = [self._part("meta", "", "application/json", self.meta)]
        parts += [
            self._part(str(photo.id), '; filename="photo.jpg"', "image/jpeg", photo.body)
            for photo in self.photos
        ]
        return b"".join(parts) + f"--{self.boundary}--\r\n".encode()

    def _part(self, name: str, more: str, content_type: str, body: bytes) -> bytes:
        head = (
            f"--{self.boundary}\r\n"
            f'Content-Disposition: form-data; name="{name}"{more}\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        )
        return head.encode() + body + b"\r\n"


def make_report(
    number: int, photos: Sequence[bytes], at: datetime, grid_code: str | None = None
) -> MadeReport:
    """A report with its own id and manifest; `number` picks its words."""
    category, words = _MATTERS[number % len(_MATTERS)]
    taken = tuple(Photo(new_id(), body, hashlib.sha256(body).hexdigest()) for body in photos)
    id_ = new_id()
    meta: dict[str, Any] = {
        "id": id_,
        "category": category,
        "text": f"{words}（模拟上报 {number}）",
        "place": {"grid_code": grid_code} if grid_code else None,
        "occurred_at": at,
        "source": "patrol",
        "attachments": [_listed(photo, at) for photo in taken],
    }
    return MadeReport(id_, orjson.dumps(meta), taken)


def _listed(photo: Photo, at: datetime) -> dict[str, Any]:
    return {
        "id": photo.id,
        "kind": "photo",
        "name": "现场.jpg",
        "size": len(photo.body),
        "sha256": photo.sha256,
        "captured_at": at,
    }


def quick_camera(number: int) -> bytes:
    """A JPEG of some 1 kB: the smallest that still is a picture."""
    return picture(number, "jpeg", (32, 24))


def phone_camera(number: int) -> bytes:
    """A photo as a phone takes it, some 100-400 kB, with EXIF; a tenth of a second of work."""
    return photo(number, *_TOWN, SystemClock().now())
