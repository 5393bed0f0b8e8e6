"""The simulated platform: what it verifies, and how it misbehaves, seen by the real sender."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import orjson
import pytest

from app.simulation.ledger import LedgerFile
from app.simulation.receiver import Mode, Receiver
from app.webhooks.sending import HttpSender, Outcome
from app.webhooks.signing import new_secret, signed_headers

SECRET = new_secret()
BODY = orjson.dumps({"type": "incident.reported", "data": {"incident_id": "i1", "sequence": 1}})


@pytest.fixture
async def sender() -> AsyncIterator[HttpSender]:
    sender = HttpSender((ip_network("127.0.0.0/8"),), answer_s=0.5)
    yield sender
    await sender.close()


async def call(sender: HttpSender, receiver: Receiver, secret: str = SECRET) -> Outcome:
    headers = signed_headers([secret], "m1", datetime.now(UTC), BODY)
    return await sender.send(f"http://127.0.0.1:{receiver.port}/", headers, BODY)


async def test_a_wrong_signature_is_refused_and_not_kept(sender: HttpSender) -> None:
    async with Receiver().listening() as receiver:
        receiver.expect(SECRET)
        assert (await call(sender, receiver, new_secret())).status == 401
        assert (receiver.heard, receiver.refused) == ([], 1)


async def test_what_was_verified_stands_in_the_ledger(sender: HttpSender, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with LedgerFile(path) as ledger:
        async with Receiver(ledger=ledger).listening() as receiver:
            receiver.expect(SECRET)
            assert (await call(sender, receiver)).status == 200
    (line,) = path.read_bytes().splitlines()
    told = orjson.loads(line)
    assert (told["kind"], told["webhook_id"], told["sequence"]) == ("delivery", "m1", 1)


@pytest.mark.parametrize(
    ("mode", "status", "error", "kept"),
    [
        ("500", 500, None, 0),
        ("redirect", 302, None, 0),
        ("lies", 200, None, 0),
        ("reset", None, "RemoteProtocolError", 0),
        ("hang", None, "timeout", 0),
        ("slow", None, "timeout", 1),
        ("big", 200, None, 1),
    ],
)
async def test_modes(
    sender: HttpSender, mode: Mode, status: int | None, error: str | None, kept: int
) -> None:
    async with Receiver(mode).listening() as receiver:
        receiver.expect(SECRET)
        outcome = await call(sender, receiver)
        assert (outcome.status, outcome.error) == (status, error)
        assert len(receiver.heard) == kept
