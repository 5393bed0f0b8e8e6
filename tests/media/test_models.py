from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import new_id
from app.media.models import MediaFile
from tests.conftest import NOON

WHOLE = {
    "state": "stored",
    "kind": "photo",
    "filename": "现场.jpg",
    "object_key": "media/2026/03/x",
    "size": 3,
    "sha256": bytes(32),
    "content_type": "image/jpeg",
    "uploaded_at": NOON,
}


@pytest.mark.parametrize(
    "change",
    [
        {"object_key": None},
        {"sha256": None},
        {"size": None},
        {"content_type": None},
        {"uploaded_at": None},
        {"sha256": b"short"},
        {"size": -1},
        {"state": "lost"},
        {"kind": "document"},
        {"filename": ""},
        {"filename": "x" * 256},
    ],
)
async def test_r3_a_row_can_not_claim_more_than_there_is(
    session: AsyncSession, change: dict[str, Any]
) -> None:
    session.add(MediaFile(**{**WHOLE, **change}, uploaded_by=new_id(), created_at=NOON))
    with pytest.raises(IntegrityError):
        await session.flush()


async def test_files_still_expected_need_no_object(session: AsyncSession) -> None:
    nothing = dict.fromkeys(("object_key", "size", "sha256", "content_type", "uploaded_at"))
    made = {**WHOLE, **nothing, "state": "expected"}
    session.add(MediaFile(**made, uploaded_by=new_id(), created_at=NOON))
    await session.flush()
