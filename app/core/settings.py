"""Settings of one process: read once from ETONG_* (and .env, *_FILE), frozen, passed in."""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.core.pace import Pace

Role = Literal["api", "relay", "pump", "jobs"]
ALL_ROLES: tuple[Role, ...] = ("api", "relay", "pump", "jobs")
KIB = 1024
MIB = 1024 * KIB


def _split(value: object) -> object:
    """Lists are comma-separated: people write `a,b` in an environment, not JSON."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(_Group):
    url: SecretStr = SecretStr("")
    direct_url: SecretStr = SecretStr("")
    """For LISTEN and migrations where `url` goes through a pooler; empty: `url`."""
    pool_size: int = Field(default=20, ge=1, le=500)
    pool_timeout_s: float = Field(default=2.0, gt=0, le=60)
    prepare_threshold: int | None = 5
    """None behind a pooler that can't keep prepared statements."""


class StoreSettings(_Group):
    endpoint_url: str = ""
    bucket: str = "etong-media"
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    region: str = "us-east-1"
    addressing: Literal["path", "virtual"] = "path"
    public_url: str = ""
    deadline_s: float = Field(default=10.0, gt=0, le=300)
    checksums: Literal["when_required", "when_supported"] = "when_required"
    """Checksums of S3's own kinds: several servers refuse them, and digests are verified by us."""


class WakeupSettings(_Group):
    url: str = ""
    poll_s: float = Field(default=10.0, gt=0, le=60)


class TerminalSettings(_Group):
    binding: Literal["open", "approve"] = "open"


class WebhookSettings(_Group):
    allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        parts = _split(value)
        return tuple(ip_network(str(item)) for item in parts) if isinstance(parts, list) else value


class TokenSettings(_Group):
    access_s: int = Field(default=900, ge=30, le=900)
    refresh_s: int = Field(default=30 * 86400, ge=3600, le=180 * 86400)
    lock_after: int = Field(default=5, ge=3, le=20)
    lock_s: int = Field(default=900, ge=60, le=86400)


class IntakeSettings(_Group):
    """Limits of one request (3-protocols M3); bytes unless named otherwise."""

    request_bytes: int = Field(default=256 * MIB, ge=MIB)
    video_bytes: int = Field(default=200 * MIB, ge=MIB)
    picture_bytes: int = Field(default=25 * MIB, ge=1024)
    meta_bytes: int = Field(default=64 * 1024, ge=1024)
    files: int = Field(default=12, ge=1, le=100)
    matter_files: int = Field(default=60, ge=12, le=100)
    """Of one matter, however many requests bring them."""
    matter_bytes: int = Field(default=2048 * MIB, ge=MIB)
    parts: int = Field(default=32, ge=2, le=200)
    headers_per_part: int = Field(default=8, ge=2, le=32)
    header_bytes: int = Field(default=4096, ge=256)
    boundary_bytes: int = Field(default=70, ge=16, le=200)
    slack_bytes: int = Field(default=1024, ge=64)
    json_bytes: int = Field(default=MIB, ge=1024)
    part_bytes: int = Field(default=8 * MIB, ge=5 * MIB)
    idle_s: float = Field(default=60.0, gt=0)
    min_bytes_per_s: int = Field(default=200, ge=0)
    """On average over `rate_window_s`; 2G is faster, who only pretends to send is not."""
    rate_window_s: float = Field(default=60.0, gt=0)
    link_s: int = Field(default=300, ge=10, le=300)

    @property
    def pace(self) -> Pace:
        return Pace(self.idle_s, self.min_bytes_per_s, self.rate_window_s)


class JobsSettings(_Group):
    """How files are looked into, each in a child of its own (3-protocols M13)."""

    concurrency: int = Field(default=2, ge=1, le=64)
    """Files at once in this process; each may take `memory_bytes` and a core."""
    poll_s: float = Field(default=1.0, gt=0, le=60)
    pixels: int = Field(default=50_000_000, ge=1_000_000)
    side: int = Field(default=16_384, ge=1024)
    memory_bytes: int = Field(default=512 * MIB, ge=192 * MIB)
    seconds: int = Field(default=20, ge=1, le=300)


class RetentionSettings(_Group):
    """Months after a matter ended; a category may have its own (2-domain §8)."""

    media_months: int = Field(default=24, ge=1, le=1200)
    parties_months: int = Field(default=12, ge=1, le=1200)


class UploadSettings(_Group):
    """Resumable uploads (3-protocols §1)."""

    max_bytes: int = Field(default=200 * MIB, ge=1024)
    """Tus-Max-Size; what a kind of file may have is judged when all of it is there."""
    expires_s: int = Field(default=7 * 86400, ge=60)
    """Counted from the last byte that was stored."""
    open_per_device: int = Field(default=20, ge=1, le=1000)
    checksummed_bytes: int = Field(default=8 * MIB, ge=1024)
    """A chunk with an Upload-Checksum is held back until it is verified."""
    metadata_bytes: int = Field(default=4096, ge=64)
    metadata_keys: int = Field(default=32, ge=1)
    equal_parts: bool = False
    """For stores that want every part but the last of one size (R2)."""
    takeover_s: float = Field(default=2.0, gt=0, le=5)
    """How long a newcomer waits for the request before it to save, before it goes on alone."""
    wait_s: float = Field(default=10.0, gt=0)
    """How long a newcomer waits for a file that is being verified, before it is told 423."""


class WaySettings(_Group):
    """By what a phone chooses between one body and uploads (U23); told, demanded of nobody."""

    single_post_max_bytes: int = Field(default=256 * KIB, ge=1024)
    """All files of a report together, while the link is unmeasured."""
    single_post_floor_bytes: int = Field(default=64 * KIB, ge=1024)
    single_post_ceiling_bytes: int = Field(default=2 * MIB, ge=1024)
    single_post_seconds: int = Field(default=15, ge=1, le=300)
    text_first_json_bytes: int = Field(default=20 * KIB, ge=1024)
    patch_bytes_slow: int = Field(default=256 * KIB, ge=1024)
    patch_bytes_fast: int = Field(default=MIB, ge=1024)
    fast_from_bits_per_s: int = Field(default=1_000_000, ge=1)
    failed_posts_before_upload: int = Field(default=1, ge=1, le=10)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        bounds = self.single_post_floor_bytes, self.single_post_ceiling_bytes
        if not bounds[0] <= self.single_post_max_bytes <= bounds[1]:
            raise ValueError("single_post_max_bytes lies between its floor and its ceiling")
        return self


class DiskSettings(_Group):
    """When a disk is full: so much of it is used, and less than so many bytes are left."""

    folders: Annotated[tuple[Path, ...], NoDecode] = ()
    """Where database and store write, if that is this machine; `etong run` watches its home."""
    files_at: float = Field(default=0.90, gt=0, le=1)
    files_free_bytes: int = Field(default=20 * 1024 * MIB, ge=0)
    reports_at: float = Field(default=0.95, gt=0, le=1)
    reports_free_bytes: int = Field(default=10 * 1024 * MIB, ge=0)

    _folders = field_validator("folders", mode="before")(_split)


class Settings(BaseSettings):
    """`Settings()` reads the environment; tests build it with keywords. Frozen."""

    model_config = SettingsConfigDict(
        env_prefix="ETONG_",
        env_nested_delimiter="__",
        env_file=".env",
        # how an environment says None, e.g. ETONG_DATABASE__PREPARE_THRESHOLD=none
        env_parse_none_str="none",
        frozen=True,
        extra="ignore",
    )

    home: Path = Path(".etong")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = ""
    timezone: str = "Asia/Shanghai"
    embedded: bool = False
    """True only when this process keeps its own database and store (`etong run`)."""
    demo_password: SecretStr = SecretStr("Etong-demo-1")
    secret_key: SecretStr = SecretStr("")
    """Root of every derived key: tokens, cursors, file links, field encryption. ≥ 32 characters."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    rate_burst: int = Field(default=100, ge=1)
    rate_per_s: float = Field(default=20.0, gt=0)

    database: DatabaseSettings = DatabaseSettings()
    store: StoreSettings = StoreSettings()
    wakeups: WakeupSettings = WakeupSettings()
    terminals: TerminalSettings = TerminalSettings()
    webhooks: WebhookSettings = WebhookSettings()
    tokens: TokenSettings = TokenSettings()
    intake: IntakeSettings = IntakeSettings()
    jobs: JobsSettings = JobsSettings()
    retention: RetentionSettings = RetentionSettings()
    uploads: UploadSettings = UploadSettings()
    ways: WaySettings = WaySettings()
    disk: DiskSettings = DiskSettings()

    _lists = field_validator("trusted_proxies", "cors_origins", mode="before")(_split)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, OSError) as unknown:
            raise ValueError(f"no such time zone: {value}") from unknown
        return value

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: Any) -> Any:  # noqa: ANN401 - raw input of any shape
        return _with_files(values, os.environ) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _real_secrets(self) -> Self:
        key = self.secret_key.get_secret_value()
        if key and len(key) < 32:  # noqa: PLR2004 - said in the message
            raise ValueError("ETONG_SECRET_KEY must have at least 32 characters")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def _with_files(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """`ETONG_A__B_FILE=/path` fills `a.b` with the file's text, where `a.b` is not given itself."""
    filled: dict[str, Any] = {
        k: dict(v) if isinstance(v, Mapping) else v for k, v in values.items()
    }
    for name, path in environ.items():
        if not (name.startswith("ETONG_") and name.endswith("_FILE")):
            continue
        *groups, field = name.removeprefix("ETONG_").removesuffix("_FILE").lower().split("__")
        target: Any = filled
        for group in groups:
            target = target.setdefault(group, {})
        if not isinstance(target, dict):  # the group was given whole
            continue
        # the environment's own reader takes the name of the file for a field of the group
        target.pop(f"{field}_file", None)
        if field not in target:
            target[field] = Path(path).read_text(encoding="utf-8").strip()
    return filled
