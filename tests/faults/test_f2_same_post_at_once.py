"""F2, I3: the same report fifty times at once, over two processes of the API."""

import asyncio
from collections import Counter
from pathlib import Path

from app.simulation.ledger import LedgerFile
from tests.faults.wire import new_report, note, posting, send, token
from tests.faults.world import World

COPIES = 50


async def test_i3_fifty_at_once_over_two_processes_are_one_report(
    world: World, tmp_path: Path
) -> None:
    first, second = [await world.serve("api") for _ in range(2)]
    await world.serve("relay")
    signed = await token(first.url)
    made = new_report(1, photos=2)
    request = posting(made, signed)
    urls = [first.url, second.url] * (COPIES // 2)
    answers = await asyncio.gather(*(send(url, request) for url in urls))
    came = [answer for answer in answers if answer is not None]
    assert Counter(answer.status for answer in came) == {201: 1, 200: COPIES - 1}
    assert len({answer.json["number"] for answer in came}) == 1
    assert all(answer.json["complete"] for answer in came)
    with LedgerFile(tmp_path / "ledger.jsonl") as ledger:
        for answer in came:
            note(ledger, made, answer)
    await world.drained()
    assert await world.count("SELECT count(*) FROM incidents") == 1
    reported = "SELECT count(*) FROM domain_events WHERE name = 'incident.reported'"
    assert await world.count(reported) == 1
    assert await world.violations(tmp_path / "ledger.jsonl") == []
    await world.swept()
    assert await world.objects() == len(made.photos)
    assert world.bugs() == []
