"""W1: signed as Standard Webhooks says, by the word of others: a library and three receivers."""

import asyncio
import base64
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from app.webhooks.sending import HttpSender
from app.webhooks.signing import (
    PREFIX,
    SignatureInvalid,
    new_secret,
    signature,
    signed_headers,
    verify,
)

DOCS = Path(__file__).parents[2] / "docs" / "webhooks"
BODY = '{"type":"incident.reported","data":{"text":"楼道堆放杂物，堵塞消防通道"}}'.encode()
SECRET = new_secret()


def test_w1_the_specifications_own_example() -> None:
    """Source: standard-webhooks/spec, "Symmetric" signature scheme."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_w1_a_secret_is_32_random_bytes() -> None:
    assert len(base64.b64decode(SECRET.removeprefix(PREFIX))) == 32
    assert new_secret() != SECRET


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=200)))
def test_w1_the_independent_library_accepts_every_message(told: dict[str, str]) -> None:
    body = json.dumps(told, ensure_ascii=False).encode(errors="replace")
    headers = signed_headers([SECRET], "m1", datetime.now(UTC), body)
    assert standardwebhooks.Webhook(SECRET).verify(body, headers) == json.loads(body)


def test_w1_the_independent_library_accepts_both_secrets_of_a_rotation() -> None:
    newer = new_secret()
    headers = signed_headers([newer, SECRET], "m1", datetime.now(UTC), BODY)
    for secret in (newer, SECRET):
        assert standardwebhooks.Webhook(secret).verify(BODY, headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret()).verify(BODY, headers)


@given(st.data())
def test_w1_an_altered_byte_an_old_time_a_wrong_header_are_refused(data: st.DataObject) -> None:
    now = datetime.now(UTC)
    headers = signed_headers([SECRET], "m1", now, BODY)
    assert verify([SECRET], headers, BODY, now) == "m1"
    place = data.draw(st.integers(0, len(BODY) - 1))
    altered = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
    with pytest.raises(SignatureInvalid):
        verify([SECRET], headers, altered, now)
    seconds = data.draw(st.integers(302, 10**6) | st.integers(-(10**6), -302))
    with pytest.raises(SignatureInvalid):
        verify([SECRET], headers, BODY, now + timedelta(seconds=seconds))
    name = data.draw(st.sampled_from(sorted(headers)))
    with pytest.raises(SignatureInvalid):
        verify([SECRET], {**headers, name: data.draw(st.text(max_size=300))}, BODY, now)


RECEIVERS = {
    "python": [sys.executable, str(DOCS / "receiver.py"), "0"],
    "node": ["node", str(DOCS / "receiver.mjs"), "0"],
    "java": ["java", str(DOCS / "Receiver.java"), "0"],
}


@asynccontextmanager
async def listening(command: list[str]) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "SECRET": SECRET}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            word, port = (await process.stdout.readline()).split()
        assert word == b"listening"
        yield int(port), process.stdout
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("language", RECEIVERS)
async def test_w18_the_sample_receivers_take_what_is_signed_and_nothing_else(language: str) -> None:
    command = RECEIVERS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    now = datetime.now(UTC)
    sender = HttpSender((ip_network("127.0.0.0/8"),))
    good = signed_headers([new_secret(), SECRET], "m1", now, BODY)
    old = signed_headers([SECRET], "m2", now - timedelta(minutes=6), BODY)
    async with listening(command) as (port, output):
        url = f"http://127.0.0.1:{port}/"
        sent = [
            await sender.send(url, headers, body)
            for headers, body in (
                (good, BODY.replace(b"incident", b"Incident")),
                (old, BODY),
                ({}, BODY),
                ({**good, "webhook-signature": "v1,"}, BODY),
                (good, BODY),
                (good, BODY),
            )
        ]
        async with asyncio.timeout(10):
            line = await output.readline()
    await sender.close()
    assert [outcome.status for outcome in sent] == [401, 401, 401, 401, 204, 204]
    assert "楼道堆放杂物" in line.decode()
