"""Media that mean harm, or were harmed: bombs, cuts, flipped bits."""

import random
import struct
import zlib
from collections.abc import Iterator


def png_bomb(width: int, height: int) -> bytes:
    """A valid black PNG of one bit a pixel: 109 kB for 900 megapixels, 12 kB for 100."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = (_chunk(b"IHDR", head), _chunk(b"IDAT", packed), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def harmed(body: bytes, seed: int, *, times: int, keep: int = 16) -> Iterator[bytes]:
    """The same file cut, with flipped bits, with pieces moved, doubled and zeroed.

    Its first `keep` bytes stay, so that it is still taken for what it was.
    """
    source = random.Random(seed)  # noqa: S311 - the same seed, the same harm
    for number in range(times):
        changed = bytearray(body)
        way = number % 4
        for _ in range(source.randrange(1, 12)):
            place = source.randrange(keep, len(changed))
            length = source.randrange(1, 1 + min(64, len(changed) - place))
            if way == 0:
                del changed[place + length :]
                break
            if way == 1:
                changed[place] ^= 1 << source.randrange(8)
            elif way == 2:
                changed[place : place + length] = bytes(length)
            else:
                other = source.randrange(keep, len(changed))
                changed[other:other] = changed[place : place + length]
            if len(changed) <= keep + 1:
                break
        yield bytes(changed)
