"""Merkle trees as in RFC 6962 §2.1, in blocks so that a proof reads a few rows only (pure).

A node without a neighbour is carried up as it is; leaves and nodes are hashed apart, so that
neither can be passed off as the other.
"""

import hashlib
from collections.abc import Sequence

BLOCK = 1024
"""Leaves under one kept node; a power of two, so that a block is a subtree."""
EMPTY = hashlib.sha256().digest()
_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(_LEAF + leaf).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Of the tree over these leaf hashes, or of what lies over these blocks' roots."""
    if not hashes:
        return EMPTY
    while len(hashes) > 1:
        hashes = _above(hashes)
    return hashes[0]


def path(hashes: Sequence[bytes], place: int) -> list[bytes]:
    """The neighbours on the way from `place` to the root, from below."""
    found = []
    while len(hashes) > 1:
        neighbour = place ^ 1
        if neighbour < len(hashes):
            found.append(hashes[neighbour])
        hashes, place = _above(hashes), place // 2
    return found


def root_from(leaf: bytes, place: int, leaves: int, neighbours: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its path lead to; None where the path has another length."""
    node, left = leaf_hash(leaf), list(neighbours)
    while leaves > 1:
        if place ^ 1 < leaves:
            if not left:
                return None
            other = left.pop(0)
            node = _join(other, node) if place % 2 else _join(node, other)
        place, leaves = place // 2, (leaves + 1) // 2
    return None if left else node


def _above(hashes: Sequence[bytes]) -> list[bytes]:
    pairs = [_join(hashes[at], hashes[at + 1]) for at in range(0, len(hashes) - 1, 2)]
    return pairs + list(hashes[-1:]) if len(hashes) % 2 else pairs


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
