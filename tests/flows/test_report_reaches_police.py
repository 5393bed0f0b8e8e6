"""The main job: phone → village → township → police post → outcome → phone."""

from typing import Any

from tests.district import POLICE_LIUHU, District


async def test_the_story_of_a_blocked_fire_exit(district: District) -> None:
    receipt = await district.report()
    incident = receipt["id"]
    steps: tuple[tuple[str, str, dict[str, Any], str], ...] = (
        ("desk-yonghong", "escalate", {"reason": "需要派出所协助"}, "submitted"),
        ("desk-liuhu", "accept", {}, "accepted"),
        ("desk-liuhu", "dispatch", {"to_unit": POLICE_LIUHU}, "dispatched"),
        ("police-liuhu", "sign", {}, "in_progress"),
        ("police-liuhu", "progress", {"text": "已到现场"}, "in_progress"),
        ("police-liuhu", "complete", {"outcome": "杂物已清，通道畅通"}, "handled"),
        ("desk-liuhu", "verify_pass", {}, "closed"),
        ("worker-yonghong", "rate", {"score": 5}, "closed"),
    )
    for who, action, fields, state in steps:
        answer = await district.act(who, incident, action, **fields)
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == state
    worker = await district.client("worker-yonghong")
    inbox = (await worker.get("/v1/inbox")).json()
    assert [item["seq"] for item in inbox["items"]] == list(range(1, 10))
    assert "杂物已清，通道畅通" in inbox["items"][7]["body"]
    shown = (await worker.get(f"/v1/incidents/{incident}")).json()
    assert shown["outcome"] == "杂物已清，通道畅通"
