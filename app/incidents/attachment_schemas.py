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


class RereadingView(View):
    """One time the stored bytes were read back and hashed."""

    at: datetime
    purpose: str = Field(
        max_length=20, json_schema_extra={"x-extensible-enum": ["examination", "sample", "verify"]}
    )
    found: str = Field(
        max_length=20, json_schema_extra={"x-extensible-enum": ["whole", "other", "gone"]}
    )


class DerivativeView(View):
    variant: str = Field(max_length=20)
    content_type: str = Field(max_length=100)
    size: Count
    sha256: str = Field(max_length=64)
    width: Count
    height: Count


class CustodyView(View):
    """What is known of a file from its capture to now (保管记录): hashes, times, hands."""

    incident_id: UUID
    attachment_id: UUID
    kind: str = Field(max_length=20)
    name: str = Field(max_length=255)
    state: str = Field(max_length=20)
    content_type: str | None = Field(max_length=100)
    size: Count | None
    sha256: str | None = Field(max_length=64)
    """Computed over the bytes as they came; every re-reading is compared with it."""
    captured_at: datetime | None
    """As the phone claimed when it sent the file."""
    taken: TakenView | None
    """As the file itself says."""
    uploaded_at: datetime | None
    uploaded_by: UUID | None
    terminal_id: str | None = Field(max_length=200)
    clock_offset_s: Annotated[int, Field(ge=-(2**53), le=2**53)] | None
    """The phone's clock minus ours when it sent the report."""
    derivatives: list[DerivativeView] = Field(max_length=10)
    rereadings: list[RereadingView] = Field(max_length=1000)
    """The newest first."""
