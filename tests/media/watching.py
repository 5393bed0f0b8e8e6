"""A file given to a child, and what comes back."""

import io
from tempfile import TemporaryFile
from typing import Any

import pytest
from PIL import Image

from app.core.settings import JobsSettings
from app.media.children import Answer, look_into
from app.media.findings import Refused

LIMITS = JobsSettings()


async def look(body: bytes, content_type: str, limits: JobsSettings = LIMITS) -> Answer:
    with TemporaryFile() as file:
        file.write(body)
        file.seek(0)
        return await look_into(file, content_type, limits)


async def code_of(body: bytes, content_type: str, limits: JobsSettings = LIMITS) -> str:
    with pytest.raises(Refused) as refused:
        await look(body, content_type, limits)
    return str(refused.value)


def encoded(image: Image.Image, suffix: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def opened(answer: Answer) -> dict[str, Image.Image]:
    return {each.variant: Image.open(io.BytesIO(each.body)) for each in answer.pictures}
