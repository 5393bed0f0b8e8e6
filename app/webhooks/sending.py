"""The door to other platforms: one request, bounded in time and size, no redirect followed."""

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol

import httpx

from app.webhooks.addresses import AddressRefused, Network, Target, checked, target_of

CONNECT_S = 5.0
ANSWER_S = 15.0
READ_BYTES = 64 * 1024
KEPT_BYTES = 4 * 1024
_MOST_RETRY_AFTER_S = 86_400
_MOST_CLIENTS = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status` None: no answer came, `error` says why in a word. Times in milliseconds, seconds."""

    status: int | None
    latency_ms: int
    error: str | None = None
    response: str | None = None
    retry_after_s: int | None = None

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - 2xx


class Sender(Protocol):
    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST. Never raises for what the other side does."""
        ...

    async def close(self) -> None: ...


class HttpSender:
    """Connects to the address that was checked, under the name that was asked for.

    A client for each host: every request looks through all connections of its client's pool.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        answer_s: float = ANSWER_S,
        connect_s: float = CONNECT_S,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._answer_s = answer_s
        self._timeout = httpx.Timeout(answer_s, connect=connect_s, pool=answer_s)
        self._verify = verify or ssl.create_default_context()
        self._clients: OrderedDict[Target, httpx.AsyncClient] = OrderedDict()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        began = time.perf_counter()

        def outcome(status: int | None, error: str | None = None, read: bytes = b"") -> Outcome:
            latency_ms = round((time.perf_counter() - began) * 1000)
            text = read[:KEPT_BYTES].decode(errors="replace").replace("\0", "\ufffd") or None
            return Outcome(status, latency_ms, error, text)

        try:
            async with asyncio.timeout(self._answer_s):
                target = target_of(url)
                address = await checked(target, self._allowed)
                answer, read = await self._post(url, target, address, headers, body)
        except AddressRefused as refused:
            return outcome(None, f"refused-{refused}")
        except TimeoutError:
            return outcome(None, "timeout")
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, ValueError) as failure:
            return outcome(None, type(failure).__name__)
        done = outcome(answer.status_code, None, read)
        return Outcome(
            done.status, done.latency_ms, None, done.response, _retry_after(answer.headers)
        )

    async def close(self) -> None:
        while self._clients:
            _, client = self._clients.popitem()
            await client.aclose()

    def _client_of(self, target: Target) -> httpx.AsyncClient:
        """The one used longest ago gives way; what it is in the middle of ends as it ends."""
        client = self._clients.get(target)
        if client is None:
            if len(self._clients) >= _MOST_CLIENTS:
                self._clients.popitem(last=False)
            client = self._clients[target] = httpx.AsyncClient(
                timeout=self._timeout,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
                follow_redirects=False,
                trust_env=False,
                verify=self._verify,
            )
        self._clients.move_to_end(target)
        return client

    async def _post(
        self, url: str, target: Target, address: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx.Response, bytes]:
        asked = httpx.URL(url)
        client = self._client_of(target)
        request = client.build_request(
            "POST",
            asked.copy_with(host=address),
            headers={**headers, "Host": asked.netloc.decode(), "Accept-Encoding": "identity"},
            content=body,
            extensions={"sni_hostname": target.host},
        )
        answer = await client.send(request, stream=True)
        try:
            return answer, await _some_of(answer)
        finally:
            await answer.aclose()


async def _some_of(answer: httpx.Response) -> bytes:
    """At most `READ_BYTES`; whoever says more is left talking."""
    read = bytearray()
    async for chunk in answer.aiter_raw():
        read += chunk
        if len(read) >= READ_BYTES:
            break
    return bytes(read)


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds, at most a day; None where the field is missing or unreadable."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdecimal() and len(said) < 10:  # noqa: PLR2004 - 30 years
        return min(int(said), _MOST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0, min(round(at.timestamp() - time.time()), _MOST_RETRY_AFTER_S))
