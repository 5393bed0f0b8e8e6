"""Links to files: of our own origin, bound to one file and variant, good for minutes. Pure.

Who may see a file is decided by who asks for the link; the link itself is the permission.
"""

from datetime import UTC, datetime
from typing import Literal, NamedTuple
from urllib.parse import quote
from uuid import UUID

from app.core.crypto import Keys
from app.media.errors import FileNotFound, LinkExpired

Variant = Literal["original", "view", "preview", "thumbnail"]
_PURPOSE = "file-link"


class FileLink(NamedTuple):
    url: str
    """A path of our own origin, with its query."""
    expires_at: datetime


def link(
    keys: Keys, file_id: UUID, variant: Variant, now: datetime, seconds: int, mark: str = ""
) -> FileLink:
    """A link good for `seconds` from `now` (`settings.intake.link_s`).

    `mark`: ASCII that is drawn over the picture it leads to; an original is never drawn over.
    """
    expires = int(now.timestamp()) + seconds
    told = "" if variant == "original" else mark
    signature = keys.sign(_PURPOSE, _message(file_id, variant, expires, told))
    url = f"/v1/files/{file_id}/{variant}?expires={expires}&signature={signature}"
    more = f"&mark={quote(told)}" if told else ""
    return FileLink(url + more, datetime.fromtimestamp(expires, UTC))


def verify(
    keys: Keys,
    file_id: UUID,
    variant: Variant,
    expires: int,
    signature: str,
    *,
    now: datetime,
    mark: str = "",
) -> None:
    """Raises FileNotFound for a link that was never given out so, LinkExpired for an old one.

    An altered link learns nothing, not even whether the file exists.
    """
    if not keys.verify(_PURPOSE, _message(file_id, variant, expires, mark), signature):
        raise FileNotFound
    if now.timestamp() >= expires:
        raise LinkExpired


def _message(file_id: UUID, variant: Variant, expires: int, mark: str) -> bytes:
    return f"{file_id}/{variant}/{expires}/{mark}".encode()
