"""A dispute goes village → township → district and comes back, and one screen tells it."""

from datetime import timedelta
from typing import Any

from app.accounts.permissions import Role
from app.incidents.telling import tell
from app.system.invariants import check_all
from tests.district import KONGTONG, LIUHU, District
from tests.incidents.paths import hire, look, pass_time, rows_of, signed_in, walk

JUSTICE, LAND = f"{LIUHU}-justice", f"{LIUHU}-land"
MOST_LINES, MOST_WIDTH = 40, 120


async def test_the_story_of_a_boundary_dispute(district: District) -> None:
    """With an extension, a yellow card, an assist and a reopened outcome."""
    await hire(district, "justice", (Role.HANDLER, JUSTICE))
    await hire(district, "land", (Role.HANDLER, LAND))
    report = await district.report(category="0104", text="两户因宅基地界址发生争执，多次劝说无效")
    incident = report["id"]

    async def go(who: str, action: str, **fields: Any) -> dict[str, Any]:
        return await walk(district, incident, (who, action, fields))

    await go("desk-yonghong", "accept")
    await go("desk-yonghong", "escalate", reason="需镇司法所调解")
    await go("desk-liuhu", "escalate", reason="涉及跨镇土地权属")
    shown = await go("desk-kongtong", "accept")
    assert shown["step"]["unit"]["code"] == KONGTONG
    await go("desk-kongtong", "hand_down", to_unit=LIUHU)
    await go("desk-liuhu", "accept")
    await go("desk-liuhu", "dispatch", to_unit=JUSTICE)
    await go("justice", "sign")
    await go("justice", "request_extension", days=3, reason="等待测绘结果")
    shown = await go("desk-liuhu", "decide_extension", days=2)
    assert (shown["step"]["extension_days"], shown["step"]["light"]) == (2, "green")
    await go("justice", "assist", to_unit=LAND)
    await go("land", "progress", text="已到现场测量界址")
    while (await look(district, "desk-liuhu", incident))["step"]["supervision"] == "normal":
        await pass_time(district, timedelta(days=1))
    assert (await look(district, "justice", incident))["step"]["light"] == "red"
    await go("justice", "complete", outcome="双方签订调解协议，界址已立桩")
    await go("desk-liuhu", "verify_pass")
    await go("worker-yonghong", "reopen", reason="界桩被移动，双方又起争执")
    await go("justice", "complete", outcome="重新立桩并公证，双方无异议")
    shown = await go("worker-yonghong", "confirm")
    assert (shown["state"], shown["outcome"]) == ("closed", "重新立桩并公证，双方无异议")
    await go("worker-yonghong", "rate", score=5)
    await _every_step_was_heard(district, incident)
    async with district.resources.sessions.read() as session:
        lines = await tell(session, report["number"], district.resources.settings.zone)
        assert await check_all(session, district.clock.now()) == []
    _tells_it(lines or [], report["number"])


async def _every_step_was_heard(district: District, incident: str) -> None:
    """The reporter's numbers have no gap, and the last words are the outcome's."""
    worker = await signed_in(district, "worker-yonghong")
    items = (await worker.get("/v1/inbox", params={"limit": 200})).json()["items"]
    assert [item["seq"] for item in items] == list(range(1, len(items) + 1))
    assert any("重新立桩并公证" in item["body"] for item in items)
    rows = await rows_of(district, incident)
    assert all(event.processed_at for event in rows.events)


def _tells_it(lines: list[str], number: str) -> None:
    """In Chinese, on one screen."""
    told = "\n".join(lines)
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= MOST_WIDTH
    assert lines[0].startswith(f"事件 {number}  办结  责任单位：柳湖司法所")
    for words in (
        "上报上级",
        "至崆峒区综治中心",
        "下派",
        "申请延期  柳湖司法所 justice  3 天",
        "延期批复  柳湖镇综治中心 柳湖镇调度员  申请 3 天，2 天",
        "协办",
        "自动发牌",
        "黄牌",
        "重新办理 → 处置中",
        "上报人确认 → 办结",
        "5 分",
    ):
        assert words in told, (words, told)
