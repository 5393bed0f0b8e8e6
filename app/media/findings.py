"""What is found in a file, and what looking into it may cost: shared with the child. Pure."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Refused(Exception):  # noqa: N818 - names the fact
    """Nothing is made of this file; the text is the code that says why."""


class Taken(NamedTuple):
    """When and where, by the file's own word.

    `at` in ISO 8601, without an offset where none was written; degrees.
    """

    at: str | None = None
    lon: float | None = None
    lat: float | None = None
    datum: str | None = None
    """As written; phones mostly leave it out and mean WGS-84."""


class Picture(NamedTuple):
    """One derivative, encoded as WebP."""

    variant: str
    width: int
    height: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost: picture elements, bytes, seconds."""

    pixels: int
    side: int
    memory_bytes: int
    seconds: int

    def check(self, width: int, height: int) -> None:
        """By the header, before anything is decoded (M13). Raises Refused."""
        if max(width, height) > self.side or width * height > self.pixels:
            raise Refused("too-many-pixels")


@dataclass(slots=True)
class Look:
    """`codec` as its decoder is called; `picture_hash` has 64 bits and a sign."""

    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    codec: str | None = None
    picture_hash: int | None = None
    taken: Taken = field(default_factory=Taken)
    pictures: list[Picture] = field(default_factory=list)
