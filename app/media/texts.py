"""Text parts: UTF-8, or the Chinese charsets a client declares; never mojibake. Pure."""

from app.media.errors import CharsetRefused, TextUndecodable

_CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    # GB18030 contains the older two, and clients claim those for texts that need it
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb18030": "gb18030",
    "cp936": "gb18030",
}


def decode(raw: bytes, charset: str | None) -> str:
    """The text; a byte order mark is dropped. Raises CharsetRefused, TextUndecodable."""
    codec = _CHARSETS.get((charset or "utf-8").strip().lower())
    if codec is None:
        raise CharsetRefused
    try:
        return raw.decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as broken:
        raise TextUndecodable from broken
