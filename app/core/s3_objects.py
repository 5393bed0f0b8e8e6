"""Whole objects through obstore: a put and its HEAD cost a fifth of boto3's CPU.

The figures stand in docs/decisions/0006.
"""

from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as ObjectClient

from app.core.object_store import ObjectMissing, StoreUnavailable
from app.core.settings import StoreSettings

if TYPE_CHECKING:  # not importable at run time
    from obstore.store import ClientConfig, S3Config

_CONNECT_S = 3.0
_NO_PROXY_AT_ALL = "http://proxy.invalid"


class WholeObjects:
    """Objects that are written with one request; `client` is what speaks to the store.

    The deadline around a call is the caller's.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.client = ObjectClient(
            settings.bucket,
            config=_config(settings),
            client_options=_client_options(settings),
            # one repeat, for a kept connection that the server has meanwhile closed
            retry_config={
                "max_retries": 1,
                "retry_timeout": timedelta(seconds=settings.deadline_s),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=50),
                    "max_backoff": timedelta(milliseconds=50),
                    "base": 2,
                },
            },
        )

    async def put(self, key: str, body: bytes, content_type: str) -> None:
        """Raises StoreUnavailable, also where the bucket is not there."""
        try:
            await obstore.put_async(
                self.client,
                key,
                body,
                attributes={"Content-Type": content_type},
                use_multipart=False,
            )
        except (BaseError, FileNotFoundError) as failed:
            raise StoreUnavailable(type(failed).__name__) from failed

    async def size(self, key: str) -> int:
        """Bytes under the key. Raises ObjectMissing, StoreUnavailable."""
        try:
            found = await obstore.head_async(self.client, key)
        except FileNotFoundError as missing:
            raise ObjectMissing(key) from missing
        except BaseError as failed:
            raise StoreUnavailable(type(failed).__name__) from failed
        return found["size"]


def _config(settings: StoreSettings) -> "S3Config":
    """Our own address and keys; nothing is taken from the environment's."""
    config: S3Config = {
        "access_key_id": settings.access_key.get_secret_value(),
        "secret_access_key": settings.secret_key.get_secret_value(),
        "region": settings.region,
        "virtual_hosted_style_request": settings.addressing == "virtual",
        "unsigned_payload": arrives_as_sent(settings.endpoint_url),
    }
    if settings.checksums == "when_supported":
        config["checksum_algorithm"] = "SHA256"
    if settings.endpoint_url:
        config["endpoint"] = _endpoint(settings)
    return config


def arrives_as_sent(url: str) -> bool:
    """By TLS, or because it never leaves this machine; else the signature covers the bytes."""
    parts = urlsplit(url)
    try:
        return parts.scheme == "https" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False  # a name


def _endpoint(settings: StoreSettings) -> str:
    """The bucket belongs into the address where the host is named after it."""
    if settings.addressing == "path":
        return settings.endpoint_url
    scheme, _, rest = settings.endpoint_url.partition("://")
    return f"{scheme}://{settings.bucket}.{rest}"


def _client_options(settings: StoreSettings) -> "ClientConfig":
    """A web proxy of the machine is not meant for media."""
    options: ClientConfig = {
        "allow_http": True,
        "http1_only": True,
        "connect_timeout": timedelta(seconds=min(_CONNECT_S, settings.deadline_s)),
        "timeout": timedelta(seconds=settings.deadline_s),
    }
    host = urlsplit(settings.endpoint_url).hostname
    if host:
        # the only way to be rid of the environment's proxy: one of our own that is used for nobody
        options["proxy_url"] = _NO_PROXY_AT_ALL
        options["proxy_excludes"] = host
    return options
