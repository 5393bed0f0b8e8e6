"""Names of files as people read them: decoded, without folders or tricks, short. Pure.

A name is shown and offered at download; it is never part of a key or of the store's metadata.
"""

import re
import unicodedata
from urllib.parse import quote, unquote_to_bytes

_MAX_BYTES = 255
_MAX_SUFFIX_BYTES = 16
_NAMELESS = "未命名"
_EXTENDED = re.compile(r"([\w.:+-]+)'[^']*'(.*)", re.DOTALL)
# C0/C1 controls, surrogates, line and paragraph separators
_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
# marks that turn the direction of the text: a name could show another suffix than it has
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def decoded_extended(value: str) -> str:
    """The text of `UTF-8''%E4%BA%8B.jpg` (RFC 8187); what can't be decoded is replaced."""
    match = _EXTENDED.fullmatch(value)
    charset, raw = (match[1], match[2]) if match else ("utf-8", value)
    encoded = unquote_to_bytes(raw)
    try:
        return encoded.decode(charset, "replace")
    except (LookupError, ValueError):
        return encoded.decode("utf-8", "replace")


def cleaned(name: str) -> str:
    """The last part of a path, without unseen characters, at most 255 bytes of UTF-8."""
    visible = "".join(
        character
        for character in name
        if unicodedata.category(character) not in _UNSEEN and character not in _TURNING
    )
    last = re.split(r"[/\\]", visible)[-1].strip()
    return _NAMELESS if last in {"", ".", ".."} else _shortened(last)


def _shortened(name: str) -> str:
    """Cut between characters, in the stem where the suffix is a usual one."""
    if len(name.encode()) <= _MAX_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    kept = (dot + suffix).encode()
    if not stem or len(kept) > _MAX_SUFFIX_BYTES:
        stem, kept = name, b""
    return stem.encode()[: _MAX_BYTES - len(kept)].decode("utf-8", "ignore") + kept.decode()


def derived(name: str, suffix: str) -> str:
    """What the picture made of a file is called: its stem, with the suffix of what it is."""
    return _shortened((name.rpartition(".")[0] or name) + suffix)


def attachment(name: str) -> str:
    """A Content-Disposition that saves the file and never shows it in place (RFC 6266)."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
