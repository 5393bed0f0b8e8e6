"""W17: a platform that cannot sign is believed by token, network, time and nonce, if at all."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.district import District
from tests.webhooks.calling import Calling, at_township, message, shown

NETWORK, INSIDE, OUTSIDE = "10.20.0.0/16", "10.20.3.4", "10.21.3.4"
CONTENT = {"type": "incident.comment", "text": "老平台的留言", "sequence": 1}


class Legacy:
    """A platform of yesterday: it calls from `INSIDE` with what it was given."""

    def __init__(self, calling: Calling) -> None:
        self.calling = calling
        self.token = ""

    @property
    def district(self) -> District:
        return self.calling.district

    async def manage(self, method: str, who: str = "admin", **wanted: Any) -> httpx.Response:
        client = await self.district.client(who)
        path = f"/v1/platforms/{await self.calling.id()}/callback-adapter"
        return await client.request(method, path, json=wanted or None)

    async def open(self, **changes: Any) -> httpx.Response:
        answer = await self.manage("POST", **{"networks": [NETWORK], **changes})
        assert answer.status_code == 201, answer.text
        self.token = answer.json()["token"]
        return answer

    def headers(self, nonce: str, **changes: str) -> dict[str, str]:
        now = int(self.district.clock.now().timestamp())
        return {
            "x-callback-token": self.token,
            "x-callback-timestamp": str(now),
            "x-callback-nonce": nonce,
        } | changes

    async def call(
        self, headers: Mapping[str, str], body: bytes, address: str = INSIDE
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.district.app, client=(address, 4000))
        url = "http://etong.test"
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            return await client.post(
                f"/v1/callbacks/{self.calling.code}",
                content=body,
                headers={"Content-Type": "application/json", **headers},
            )


@pytest.fixture
async def legacy(district: District) -> Legacy:
    return Legacy(await Calling.of(district))


async def test_w17_nothing_is_believed_until_it_is_opened_or_after_it_is_closed(
    legacy: Legacy,
) -> None:
    body = message({**CONTENT, "number": "0"})
    legacy.token = "made-up"
    assert (await legacy.call(legacy.headers("n0"), body)).status_code == 401
    await legacy.open()
    assert (await legacy.call(legacy.headers("n1"), body)).status_code == 202
    assert (await legacy.manage("DELETE")).status_code == 204
    refused = await legacy.call(legacy.headers("n2"), body)
    assert (refused.status_code, refused.json()["code"]) == (401, "callback-unauthenticated")


@pytest.mark.parametrize(
    "changes",
    [
        {"x-callback-token": "wrong"},
        {"x-callback-token": ""},
        {"x-callback-timestamp": ""},
        {"x-callback-timestamp": "soon"},
        {"x-callback-timestamp": "1"},
        {"x-callback-timestamp": "9" * 12},
        {"x-callback-timestamp": "9" * 400},
        {"x-callback-nonce": ""},
        {"x-callback-nonce": "a/b"},
        {"x-callback-nonce": "n" * 201},
        {"webhook-signature": "v1,", "webhook-id": "n1", "webhook-timestamp": "1773201600"},
    ],
)
async def test_w17_another_token_time_or_nonce_is_refused(
    legacy: Legacy, changes: dict[str, str]
) -> None:
    await legacy.open()
    refused = await legacy.call(
        legacy.headers("n1", **changes), message({**CONTENT, "number": "0"})
    )
    assert (refused.status_code, refused.json()["code"]) == (401, "callback-unauthenticated")


@pytest.mark.parametrize(
    ("address", "code"),
    [(INSIDE, 202), (f"::ffff:{INSIDE}", 202), (OUTSIDE, 401), ("::1", 401), ("unknown", 401)],
)
async def test_w17_it_is_heard_from_its_own_network_only(
    legacy: Legacy, address: str, code: int
) -> None:
    await legacy.open()
    body = message({**CONTENT, "number": "0"})
    answer = await legacy.call(legacy.headers("n1"), body, address)
    assert answer.status_code == code


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_w17_an_old_or_early_one_is_refused(legacy: Legacy, seconds: int) -> None:
    await legacy.open()
    at = legacy.district.clock.now() + timedelta(seconds=seconds)
    for said in (int(at.timestamp()), int(at.timestamp() * 1000)):
        headers = legacy.headers("n1", **{"x-callback-timestamp": str(said)})
        assert (await legacy.call(headers, message({**CONTENT, "number": "0"}))).status_code == 401


async def test_w17_the_nonce_is_its_id_and_a_repeat_changes_nothing(legacy: Legacy) -> None:
    incident = await at_township(legacy.district)
    await legacy.open(token_header="token", timestamp_header="ts", nonce_header="nonce")
    body = message({**CONTENT, "incident_id": incident})
    milliseconds = str(int(legacy.district.clock.now().timestamp() * 1000))
    headers = {"token": legacy.token, "ts": milliseconds, "nonce": "n1"}
    for state in ("due", "applied"):
        answer = await legacy.call(headers, body)
        assert (answer.status_code, answer.json()) == (202, {"webhook_id": "n1", "state": state})
        await legacy.calling.pump.drain()
    assert (await legacy.calling.told("n1"))["state"] == "applied"
    revision = (await shown(legacy.district, incident))["revision"]
    await legacy.call(headers, body)
    await legacy.calling.pump.drain()
    assert (await shown(legacy.district, incident))["revision"] == revision


async def test_w17_opened_again_the_former_token_ends_and_none_is_stored(legacy: Legacy) -> None:
    former = (await legacy.open()).json()["token"]
    await legacy.open()
    body = message({**CONTENT, "number": "0"})
    headers = legacy.headers("n1", **{"x-callback-token": former})
    assert (await legacy.call(headers, body)).status_code == 401
    assert (await legacy.call(legacy.headers("n1"), body)).status_code == 202
    async with legacy.district.resources.sessions.read() as session:
        stored = str((await session.execute(text("SELECT * FROM callback_adapters"))).all())
    assert legacy.token not in stored


async def test_w17_who_signs_is_still_believed(legacy: Legacy) -> None:
    await legacy.open()
    assert await legacy.calling.send({**CONTENT, "number": "0"})


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"networks": []}, 422),
        ({"networks": ["0.0.0.0/0"]}, 422),
        ({"networks": ["10.0.0.0/8"]}, 422),
        ({"networks": ["10.0.0.1/16"]}, 422),
        ({"networks": ["nowhere"]}, 422),
        ({"networks": ["10.20.0.0/16"], "token_header": "authorization"}, 422),
        ({"networks": ["10.20.0.0/16"], "token_header": "x-callback-nonce"}, 422),
        ({"networks": ["10.20.0.0/16"], "token_header": "a b"}, 422),
    ],
)
async def test_w17_what_would_let_everybody_in_is_refused(
    legacy: Legacy, wanted: dict[str, Any], code: int
) -> None:
    assert (await legacy.manage("POST", **wanted)).status_code == code


@pytest.mark.parametrize("who", ["desk-liuhu", "worker-yonghong", "auditor"])
async def test_w17_only_an_administrator_opens_or_closes_it(legacy: Legacy, who: str) -> None:
    assert (await legacy.manage("POST", who, networks=[NETWORK])).status_code == 403
    assert (await legacy.manage("DELETE", who)).status_code == 403
