"""The tree: the vectors of RFC 6962's own shape, every proof, and nothing else passes."""

import hashlib
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.evidence.merkle import BLOCK, EMPTY, leaf_hash, path, root, root_from

LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def _by_the_standard(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1, word by word: split at the largest power of two smaller than the count."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = _by_the_standard(leaves[:split]), _by_the_standard(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@given(LEAVES)
def test_the_root_is_the_standards(leaves: list[bytes]) -> None:
    assert root([leaf_hash(leaf) for leaf in leaves]) == _by_the_standard(leaves)
    assert root([]) == EMPTY == _by_the_standard([])


@given(LEAVES, st.data())
def test_every_leaf_is_proven_and_no_other(leaves: list[bytes], data: st.DataObject) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves]
    place = data.draw(st.integers(0, len(leaves) - 1))
    neighbours = path(hashes, place)
    assert root_from(leaves[place], place, len(leaves), neighbours) == root(hashes)
    assert root_from(leaves[place] + b"x", place, len(leaves), neighbours) != root(hashes)
    assert root_from(leaves[place], place, len(leaves), [*neighbours, EMPTY]) is None
    if neighbours:
        assert root_from(leaves[place], place, len(leaves), neighbours[1:]) != root(hashes)


def test_blocks_are_subtrees_of_the_whole() -> None:
    """A proof from one block and the blocks' roots is the proof in the tree of all leaves."""
    for count in (BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7, 5 * BLOCK):
        leaves = [b"%d" % number for number in range(count)]
        hashes = [leaf_hash(leaf) for leaf in leaves]
        blocks = [hashes[at : at + BLOCK] for at in range(0, count, BLOCK)]
        roots = [root(block) for block in blocks]
        assert root(roots) == _by_the_standard(leaves)
        for place in (0, count // 2, count - 1):
            block, inside = divmod(place, BLOCK)
            assert path(hashes, place) == [*path(blocks[block], inside), *path(roots, block)]
