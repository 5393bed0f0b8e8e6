"""The files of an incident, as they look on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.areas.datum import Datum
from app.core.fields import Count, Lat, Lon, View


class TakenView(View):
    """What the camera wrote (EXIF): a claim, like everything a file says of itself."""

    at: datetime | None
    lon: Lon | None
    lat: Lat | None
    datum: Datum
    distance_m: Count | None
    """From the place of the report."""


class AttachmentView(View):
    id: UUID
    kind: str = Field(max_length=20)
    name: str = Field(max_length=255)
    size: Count | None
    sha256: str | None = Field(max_length=64)
    content_type: str | None = Field(max_length=100)
    state: str = Field(max_length=20)
    url: str | None = Field(max_length=500)
    """The original bytes; of a sealed matter only for those who may know who reported it."""
    view_url: str | None = Field(max_length=500)
    """A picture of at most 1600 pixels a side, without EXIF; of a video its poster frame."""
    preview_url: str | None = Field(max_length=500)
    """The same with at most 640 pixels a side."""
    thumbnail_url: str | None = Field(max_length=500)
    """The same with at most 256 pixels a side."""
    expires_at: datetime | None
    derivatives: str | None = Field(
        max_length=20, json_schema_extra={"x-extensible-enum": ["queued", "made", "failed"]}
    )
    """Whether the pictures are made; null until the file is stored and noticed."""
    derivatives_code: str | None = Field(max_length=40)
    """Why there are none."""
    width: Count | None
    """Pixels, as those of `height`."""
    height: Count | None
    duration_s: Annotated[float, Field(ge=0, le=1e9)] | None
    taken: TakenView | None
    """When and where by the file's own word; only beside `url`."""
