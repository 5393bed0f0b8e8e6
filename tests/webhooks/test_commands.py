"""`etong webhooks …`: what an operator sees and does at the machine itself."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from app.cli import main
from app.webhook_commands import DONE, NOT_ASKED, REFUSED
from tests.district import SECRET
from tests.webhooks.receivers import Platform, status

Run = Callable[..., int]


@pytest.fixture
async def run(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Run:
    url = platform.district.resources.settings.database.url.get_secret_value()
    monkeypatch.setenv("ETONG_DATABASE__URL", url)
    monkeypatch.setenv("ETONG_STORE__ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ETONG_SECRET_KEY", SECRET)
    return lambda *words: main(["webhooks", *words])


async def _run(run: Run, *words: str) -> int:
    """A command has a loop of its own, so it runs in a thread."""
    return await asyncio.to_thread(run, *words)


async def test_r6_the_list_says_what_waits_and_what_was_given_up(
    platform: Platform, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await platform.subscribe(types=["incident.reported"])
    platform.receiver.answer = status(500)
    await platform.district.report()
    await platform.pump.drain()
    assert await _run(run, "list") == DONE
    said = capsys.readouterr().out.splitlines()
    (line,) = [each for each in said if each.startswith(platform.id)]
    assert "active" in line
    assert "waiting/待推送 1" in line
    assert "failures/连续失败 1" in line


async def test_w7_an_operator_pauses_tests_and_resumes(platform: Platform, run: Run) -> None:
    await platform.subscribe(types=["incident.reported"])
    assert await _run(run, "pause", platform.id) == DONE
    assert await platform.state() == "paused"
    assert await _run(run, "test", platform.id) == DONE
    assert await _run(run, "resume", platform.id) == DONE
    assert await platform.state() == "active"
    platform.district.clock.advance(timedelta(days=400))  # the command has the machine's own time
    before = len(platform.receiver.of("webhook.ping"))
    await platform.pump.drain()
    assert len(platform.receiver.of("webhook.ping")) == before + 1


async def test_w8_an_operator_replays_one_all_that_failed_or_a_span(
    platform: Platform, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await platform.subscribe(types=["incident.reported"])
    began = platform.district.clock.now().isoformat()
    await platform.district.report()
    await platform.pump.drain()
    (delivery,) = await platform.deliveries()
    for words in (
        ("--delivery", delivery["id"]),
        ("--from", began),
        ("--failed-since", began),
    ):
        assert await _run(run, "replay", platform.id, *words) == DONE
    told = capsys.readouterr().out
    # the ping was sent in that span too; nothing had failed, but what is replayed is queued again
    assert [line.split()[0] for line in told.splitlines()] == ["1", "2", "0"]
    (delivery,) = await platform.deliveries()
    assert delivery["state"] == "queued"


async def test_refusals_have_their_exit_status(
    platform: Platform, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.receiver.answer = status(500)
    await platform.subscribe()
    assert await _run(run, "pause", str(uuid4())) == REFUSED
    assert await _run(run, "pause", platform.id) == REFUSED
    assert await _run(run, "replay", platform.id) == NOT_ASKED
    said = capsys.readouterr().err
    assert "There is no such endpoint" in said
    assert "(pending)" in said
    assert "failed_since" in said


@pytest.mark.parametrize("words", [("pause",), ("pause", "not-an-id"), ("replay", "x"), ()])
def test_wrong_words_are_wrong_usage(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["webhooks", *words])
    assert ended.value.code == NOT_ASKED
