"""A phone's link to the server: signed in, and asking again until there is an answer."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from app.core.db import new_id
from app.simulation.loopback import loopback

_UNAUTHORIZED = 401
_REFUSED_FROM = 400
_COME_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_FRESH = 0.8
"""A token is renewed after this share of its life."""


class Lost(Exception):  # noqa: N818 - names the fact
    """No usable answer: the link broke, time ran out, or the server asked to come again.

    Whether the server has carried out what was asked is not known.
    """

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.wait_s = wait_s


class Refused(Exception):  # noqa: N818 - names the fact
    """The server has understood, and will not."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.code = _code(answer)
        super().__init__(f"{self.status} {self.code}")


class GaveUp(Exception):  # noqa: N818 - names the fact
    """As often as the phone may ask, it has asked."""


@dataclass(frozen=True, slots=True)
class Account:
    username: str
    password: str = field(repr=False)
    terminal_id: str = field(default_factory=lambda: f"sim-{new_id()}")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a phone tries. Times in seconds."""

    tries: int = 60
    answer_s: float = 15.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 2.0

    def wait_s(self, attempt: int) -> float:
        """Doubling, capped, and never in step with other phones."""
        grown = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(attempt, 16))
        return grown * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret


class Link:
    """`counts` says what happened: `tried`, `lost:…`, `signed_in`, `renewed`."""

    def __init__(
        self, url: str, account: Account, patience: Patience | None = None, kept: int = 1
    ) -> None:
        """`kept`: connections held between requests. Raises NotLoopback."""
        self.account = account
        self.counts: Counter[str] = Counter()
        self._patience = patience or Patience()
        self._client = httpx.AsyncClient(
            base_url=loopback(url),
            limits=httpx.Limits(max_keepalive_connections=kept),
            timeout=httpx.Timeout(self._patience.answer_s, connect=5.0),
            trust_env=False,  # a proxy of the environment would carry it off this machine
        )
        self._access = self._refresh = self._refresh_key = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def ask(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> httpx.Response:
        """The same request, byte for byte, until it is answered. Raises Refused, GaveUp."""
        for attempt in range(self._patience.tries):
            try:
                return await self.once(method, path, body, content_type)
            except Lost as lost:
                self.counts[f"lost:{lost.why}"] += 1
                await asyncio.sleep(max(self._patience.wait_s(attempt), lost.wait_s or 0.0))
        raise GaveUp(f"{method} {path}")

    async def once(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> httpx.Response:
        """One try. Raises Lost, Refused."""
        headers = await self.authorization()
        if content_type:
            headers["Content-Type"] = content_type
        self.counts["tried"] += 1
        try:
            answer = await self._client.request(method, path, content=body, headers=headers)
        except httpx.TransportError as broken:
            raise Lost(type(broken).__name__) from broken
        return self._judged(answer)

    async def authorization(self) -> dict[str, str]:
        """The header of a signed-in phone; signs in or renews first. Raises Lost, Refused."""
        async with self._renewing:
            if asyncio.get_running_loop().time() >= self._renew_at:
                await self._renew()
        return {"Authorization": f"Bearer {self._access}"}

    def stream(self, path: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - httpx's own context manager
        return self._client.stream("GET", path, headers=dict(headers))

    def _judged(self, answer: httpx.Response) -> httpx.Response:
        status = answer.status_code
        if status < _REFUSED_FROM:
            return answer
        if status == _UNAUTHORIZED:
            self._renew_at = 0.0
            raise Lost("401")
        if status in _COME_AGAIN:
            after = answer.headers.get("retry-after", "")
            raise Lost(str(status), float(after) if after.isdecimal() else None)
        raise Refused(answer)

    async def _renew(self) -> None:
        """With the refresh token; where that is worth nothing any more, with the password."""
        if self._refresh:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh}
            try:
                await self._grant("renewed", form, self._refresh_key)
            except Refused:
                self._refresh = ""
            else:
                return
        form = {"username": self.account.username, "password": self.account.password}
        await self._grant("signed_in", {"grant_type": "password", **form}, str(new_id()))

    async def _grant(self, counted: str, form: dict[str, str], key: str) -> None:
        """Ask for tokens, once. Raises Lost, Refused."""
        data = {**form, "terminal_id": self.account.terminal_id, "terminal_model": "simulated"}
        try:
            answer = await self._client.post(
                "/v1/token", data=data, headers={"Idempotency-Key": key}
            )
        except httpx.TransportError as broken:
            raise Lost(type(broken).__name__) from broken
        if answer.status_code == _UNAUTHORIZED:
            raise Refused(answer)
        tokens = self._judged(answer).json()
        self._access, self._refresh = tokens["access_token"], tokens["refresh_token"]
        self._refresh_key = str(new_id())
        self._renew_at = asyncio.get_running_loop().time() + tokens["expires_in"] * _FRESH
        self.counts[counted] += 1


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return "no-problem-document"
