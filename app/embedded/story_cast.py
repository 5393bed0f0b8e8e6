"""One of the demo cast at a terminal or a desk: an HTTP client that is signed in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from app.embedded.story_telling import tell

Answer = httpx.Response

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
# Two and a half heartbeats of 25 s: the rule by which a phone takes its stream for lost.
_SILENCE = httpx.Timeout(5.0, read=62.5)


class Refused(Exception):  # noqa: N818 - the fact, not its kind
    """The story cannot go on, or something in it is not as promised: one line for the reader."""


@dataclass(frozen=True, slots=True)
class Player:
    username: str
    name: str
    client: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def signed_in(cls, url: str, username: str, password: str) -> AsyncIterator[Self]:
        """Raises Refused where there is no server or no such account."""
        async with httpx.AsyncClient(
            base_url=url, timeout=_TIMEOUT, follow_redirects=True, trust_env=not _is_local(url)
        ) as client:
            player = cls(username, username, client)
            form = {"grant_type": "password", "username": username, "password": password}
            token = (await player.send("POST", "/v1/token", data=form)).json()
            client.headers["Authorization"] = f"Bearer {token['access_token']}"
            me = await player.read("/v1/me")
            person, unit = me["person"]["name"], me["units"][0]["name"]
            tell(f"登录 signed in  {username}：{person}（{unit}）")
            yield cls(username, person, client)

    async def read(self, path: str, **query: str | int) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.send("GET", path, params=query)).json()
        return answer

    async def lines(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[str]:
        """The lines of a stream as they arrive; ends where the stream does, or is lost.

        Raises Refused for any answer but a 200.
        """
        with suppress(httpx.TransportError):
            async with self.client.stream(
                "GET", path, headers=dict(headers), timeout=_SILENCE
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise Refused(f"{self.username}: GET {path} → {answer.status_code}")
                async for line in answer.aiter_lines():
                    yield line

    async def send(self, method: str, path: str, **parts: Any) -> Answer:  # noqa: ANN401 - as httpx takes them
        """The answer where it is a 2xx. Raises Refused with the server's own words."""
        try:
            answer = await self.client.request(method, path, **parts)
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            raise Refused(
                f"{self.client.base_url} 无法访问 cannot be reached ({type(failure).__name__});"
                " 请先运行 run it first: make run"
            ) from failure
        if not answer.is_success:
            raise Refused(f"{self.username}: {method} {path} → {_words(answer)}")
        return answer


def _words(answer: Answer) -> str:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, Mapping):
        return f"{answer.status_code} {answer.text[:200]}"
    return f"{answer.status_code} {problem.get('code')}: {problem.get('detail')}"


def _is_local(url: str) -> bool:
    """A proxy of the environment is for other machines."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
