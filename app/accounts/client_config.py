"""The numbers a phone goes by: what is demanded of it, and what it chooses its way by."""

from typing import Annotated

from pydantic import Field

from app.core.fields import View
from app.core.settings import Settings

_MOST = 2**53

Size = Annotated[int, Field(ge=0, le=_MOST)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Version = Annotated[str, Field(max_length=32)]


class IntakeLimits(View):
    """Bytes, unless named otherwise."""

    request_bytes: Size
    picture_bytes: Size
    video_bytes: Size
    meta_bytes: Size
    files: Size
    """Attachments of one report."""


class UploadChoice(View):
    """How a phone chooses its way (U23)."""

    single_post_max_bytes: Size
    """While the link is unmeasured; else uplink in B/s times `single_post_seconds`, clamped."""
    single_post_floor_bytes: Size
    single_post_ceiling_bytes: Size
    single_post_seconds: Seconds
    text_first_json_bytes: Size
    patch_bytes_slow: Size
    """Size of one PATCH below `fast_from_bits_per_s`; on Wi-Fi there is no limit."""
    patch_bytes_fast: Size
    fast_from_bits_per_s: Size
    failed_posts_before_upload: Size
    open_uploads: Size


class HearingBack(View):
    heartbeat_s: Seconds
    reconnect_after_heartbeats: Annotated[float, Field(ge=1, le=10)]
    stream_s: Seconds
    poll_s: Seconds


class ClientConfig(View):
    limits: IntakeLimits
    uploads: UploadChoice
    single_post_max_bytes: Size
    stream: HearingBack
    minimum_app_version: Version
    privacy_notice_version: Version
    access_token_s: Seconds
    link_s: Seconds
    """How long a file's link is good."""
    datums: Annotated[list[Version], Field(max_length=8)]
    timezone: Annotated[str, Field(max_length=64)]


MINIMUM_APP_VERSION = "1.0.0"
PRIVACY_NOTICE_VERSION = "2026-01"
_STREAM = HearingBack(heartbeat_s=25, reconnect_after_heartbeats=2.5, stream_s=600, poll_s=60)


def client_config(settings: Settings) -> ClientConfig:
    ways, most = settings.ways, settings.uploads.open_per_device
    return ClientConfig(
        limits=IntakeLimits.model_validate(settings.intake),
        uploads=UploadChoice(**ways.model_dump(), open_uploads=most),
        single_post_max_bytes=ways.single_post_max_bytes,
        stream=_STREAM,
        minimum_app_version=MINIMUM_APP_VERSION,
        privacy_notice_version=PRIVACY_NOTICE_VERSION,
        access_token_s=settings.tokens.access_s,
        link_s=settings.intake.link_s,
        datums=["wgs84", "gcj02", "bd09", "cgcs2000"],
        timezone=settings.timezone,
    )
