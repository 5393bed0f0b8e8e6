"""A row of `media_files` for a file that is in the store, however it came there."""

from datetime import datetime
from uuid import UUID

from app.accounts.caller import Caller
from app.core.db import Json
from app.media.storing import StoredFile


def stored_row(
    file_id: UUID,
    stored: StoredFile,
    uploader: Caller,
    at: datetime,
    *,
    filename: str,
    kind: str,
    captured_at: datetime | None = None,
) -> Json:
    """What people said of it is the caller's to know; the rest is as it was stored."""
    return {
        "id": file_id,
        "object_key": stored.object_key,
        "size": stored.size,
        "sha256": bytes.fromhex(stored.sha256),
        "content_type": stored.content_type,
        "filename": filename,
        "kind": kind,
        "state": "stored",
        "captured_at": captured_at,
        "uploaded_at": at,
        "uploaded_by": uploader.id,
        "terminal_id": uploader.terminal_id,
        "created_at": at,
    }
