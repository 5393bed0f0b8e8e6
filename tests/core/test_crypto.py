"""Keys by purpose: what one seals or signs, no other opens."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from app.core.crypto import Keys, SealBroken, b64, digest, random_token, unb64

KEYS, OTHERS = (
    Keys("root-secret-one-of-thirty-two-chars"),
    Keys("root-secret-two-of-thirty-two-chars"),
)
texts = st.text(st.characters(codec="utf-8"), max_size=200)


def test_without_a_secret_there_are_no_keys() -> None:
    with pytest.raises(ValueError, match="ETONG_SECRET_KEY"):
        Keys("")


@given(texts, st.data())
def test_a_seal_that_was_altered_or_cut_is_broken(text: str, data: st.DataObject) -> None:
    sealed = KEYS.seal("party", text)
    raw = bytearray(unb64(sealed.removeprefix("v1.")))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        KEYS.unseal("party", "v1." + b64(bytes(raw)))
    with pytest.raises(SealBroken):
        KEYS.unseal("party", sealed[: data.draw(st.integers(0, len(sealed) - 1))])


@given(texts)
def test_a_seal_opens_under_its_key_and_purpose_only(text: str) -> None:
    sealed = KEYS.seal("party", text)
    assert KEYS.unseal("party", sealed) == text
    for keys, purpose in ((KEYS, "text"), (OTHERS, "party")):
        with pytest.raises(SealBroken):
            keys.unseal(purpose, sealed)


@pytest.mark.parametrize(
    "nonsense", ["", "v1.", "v1.AAAA", "v1.事件", "plain text", "v1." + "A" * 27]
)
def test_what_was_never_sealed_is_broken(nonsense: str) -> None:
    with pytest.raises(SealBroken):
        KEYS.unseal("party", nonsense)


def test_the_same_text_is_sealed_differently_every_time() -> None:
    assert len({KEYS.seal("party", "张三") for _ in range(50)}) == 50
    assert "张三" not in KEYS.seal("party", "张三")


def test_a_seal_is_aes_256_gcm_with_its_purpose_bound_in() -> None:
    """By the book, so that another program can read it."""
    raw = unb64(KEYS.seal("party", "张三").removeprefix("v1."))
    opened = AESGCM(KEYS.key("party")).decrypt(raw[:12], raw[12:], b"party")
    assert (opened.decode(), len(KEYS.key("party"))) == ("张三", 32)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_signature_is_for_one_message_purpose_and_key(message: bytes, other: bytes) -> None:
    signature = KEYS.sign("file-link", message)
    assert len(signature) == 22
    assert KEYS.verify("file-link", message, signature)
    assert not KEYS.verify("cursor", message, signature)
    assert not OTHERS.verify("file-link", message, signature)
    assert KEYS.verify("file-link", other, signature) is (message == other)
    assert not KEYS.verify("file-link", message, signature[:-1])
    assert not KEYS.verify("file-link", message, "签名")


@given(st.binary(max_size=100))
def test_base64url_without_padding_comes_back(raw: bytes) -> None:
    assert unb64(b64(raw)) == raw
    assert "=" not in b64(raw)


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {random_token() for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {43}
    assert digest("token") == digest("token") != digest("Token")
