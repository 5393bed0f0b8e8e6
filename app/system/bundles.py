"""The files of the documentation pages, read once, kept in memory, served with their digest."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from app.core.resources import Resources

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
}
_FOLDERS = ("swagger-ui", "redoc", "pages")


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    gzipped: bytes | None
    """None where packing gains nothing."""
    content_type: str
    digest: str


class Assets:
    """`resources.the(Assets)`; the first call reads 3 MB and packs them: do it in a thread."""

    def __init__(self, _resources: Resources) -> None:
        root = files("app.system").joinpath("assets")
        self.by_name = {
            f"{folder}/{entry.name}": _asset(entry)
            for folder in _FOLDERS
            for entry in root.joinpath(folder).iterdir()
            if _suffix(entry.name) in _TYPES
        }

    def address(self, name: str) -> str:
        """The asset's path with its digest: what lies there never changes."""
        return f"/docs/assets/{name}?v={self.by_name[name].digest}"


def _asset(entry: Traversable) -> Asset:
    body = entry.read_bytes()
    return of_bytes(body, _TYPES[_suffix(entry.name)])


def of_bytes(body: bytes, content_type: str) -> Asset:
    """An asset of bytes made at run time."""
    packed = gzip.compress(body, compresslevel=6, mtime=0)
    return Asset(
        body=body,
        gzipped=packed if len(packed) < len(body) else None,
        content_type=content_type,
        digest=hashlib.sha256(body).hexdigest()[:16],
    )


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]
