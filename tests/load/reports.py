"""What is sent: reports from every township of the reference district, and their encodings."""

from dataclasses import dataclass
from hashlib import sha256
from itertools import cycle, islice
from typing import Any
from uuid import UUID

import orjson

from app.core.db import new_id
from tests.load.client import Request, encoded

TEXT = (
    "巡查发现三号楼楼道内堆放纸箱、旧家具等杂物，占用消防通道，楼内住有多名老人，"
    "已口头劝导两次未清理，请协调社区与消防部门处理。"
)
BOUNDARY = "etong-bench-3f1c5d0a9b7e4c62"
PHOTO_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class Worker:
    """A signed-in grid worker and a point inside the own grid (degrees, WGS-84)."""

    token: str
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class Photo:
    """About a phone's photo: JPEG by its first bytes, incompressible, of exactly 300 kB.

    Or any other file, of another kind.
    """

    body: bytes
    kind: str = "photo"

    @property
    def sha256(self) -> str:
        return sha256(self.body).hexdigest()


def metas(workers: list[Worker], count: int, photo: Photo | None = None) -> list["Meta"]:
    """`count` different reports, one township after another."""
    digest = photo.sha256 if photo else ""
    return [_meta(worker, photo, digest) for worker in islice(cycle(workers), count)]


@dataclass(frozen=True, slots=True)
class Meta:
    worker: Worker
    id: UUID
    body: bytes
    attachment_id: UUID


def _meta(worker: Worker, photo: Photo | None, digest: str) -> Meta:
    id_, attachment = new_id(), new_id()
    file = photo and {
        "id": str(attachment),
        "kind": photo.kind,
        "name": "现场照片.jpg",
        "size": len(photo.body),
        "sha256": digest,
    }
    content: dict[str, Any] = {
        "id": str(id_),
        "category": "0201",
        "urgency": "routine",
        "text": TEXT,
        "place": {"lon": worker.lon, "lat": worker.lat, "datum": "wgs84", "accuracy_m": 8.0,
                  "address": "三号楼二单元"},
        "attachments": [file] if file else [],
    }  # fmt: skip
    return Meta(worker, id_, orjson.dumps(content), attachment)


def text_request(meta: Meta, port: int) -> Request:
    headers = {**_identity(meta), "Content-Type": "application/json"}
    return encoded("POST", "/v1/incidents", f"127.0.0.1:{port}", headers, [meta.body])


def photo_request(meta: Meta, port: int, photo: Photo) -> Request:
    """The product's form: the file's part is named by its attachment."""
    return _form("/v1/incidents", str(meta.attachment_id), meta, port, photo)


def textbook_request(meta: Meta, port: int, photo: Photo) -> Request:
    """The textbook's form: the file's field is declared as `photo`."""
    return _form("/incidents", "photo", meta, port, photo)


def _form(target: str, name: str, meta: Meta, port: int, photo: Photo) -> Request:
    lead = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="meta"\r\n'
        "Content-Type: application/json\r\n\r\n"
    ).encode()
    middle = (
        f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; '
        'filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    ).encode()
    last = f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {**_identity(meta), "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = [lead + meta.body + middle, photo.body, last]
    return encoded("POST", target, f"127.0.0.1:{port}", headers, body)


def _identity(meta: Meta) -> dict[str, str]:
    return {"Authorization": f"Bearer {meta.worker.token}", "Accept": "application/json"}
