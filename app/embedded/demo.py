"""`etong demo`: one report walks phone → village → township → police post → outcome, over HTTP."""

from collections.abc import Sequence
from pathlib import Path

from app.embedded.story import Story
from app.embedded.story_cast import Player, Refused
from app.embedded.story_evidence import chosen_evidence, made_evidence
from app.embedded.story_platform import Caller, Platform
from app.embedded.story_stream import InboxStream
from app.embedded.story_telling import tell, tell_end, tell_failure

GRID = "620802105202001"
VILLAGE = "620802105202"
TOWNSHIP = "620802105"
POLICE = "620802105-police"


async def demo(url: str, password: str, files: Sequence[Path]) -> int:
    """Walk the story against the server at `url`. Returns 0, or 1 with the reason printed."""
    try:
        async with (
            Player.signed_in(url, "worker-yonghong", password) as worker,
            Player.signed_in(url, "desk-yonghong", password) as village,
            Player.signed_in(url, "desk-liuhu", password) as township,
            Player.signed_in(url, "police-liuhu", password) as police,
            Player.signed_in(url, "admin", password) as admin,
            Platform.subscribed(admin, TOWNSHIP) as platform,
            InboxStream.opened(worker) as stream,
        ):
            place = await _place(worker)
            evidence = chosen_evidence(files) if files else made_evidence(*place)
            story = Story(worker, stream, place, evidence)
            calling = await Caller.registered(admin, POLICE)
            await _walk(story, village, township, police, calling)
            await platform.check_heard(story.id, "closed")
    except Refused as refusal:
        tell_failure(str(refusal))
        return 1
    tell_end()
    return 0


async def _walk(
    story: Story, village: Player, township: Player, police: Player, calling: Caller
) -> None:
    await story.report("楼道堆放杂物，堵塞消防通道")
    await story.see(village, VILLAGE)
    await story.act(village, "escalate", "submitted", reason="需要派出所协助")
    await story.act(township, "accept", "accepted")
    await story.act(township, "dispatch", "dispatched", to_unit=POLICE)
    await story.act(police, "sign", "in_progress")
    await story.act(police, "progress", "in_progress", text="已到现场，正在联系业主清理")
    await story.hear_platform(calling, "业主已到场，两小时内清完")
    await story.act(police, "complete", "handled", outcome="杂物已清，通道畅通")
    await story.act(township, "verify_pass", "closed")
    await story.rate(5)
    await story.check_outcome("杂物已清，通道畅通")
    await story.repeat()
    await story.check_files()
    await story.check_inbox()


async def _place(worker: Player) -> tuple[float, float]:
    """Longitude and latitude (WGS-84) of a point inside the worker's grid."""
    area = await worker.read(f"/v1/areas/{GRID}")
    tell(f"网格 grid {GRID} {area['name']}：{area['lon']:.5f}, {area['lat']:.5f} (WGS-84)")
    return area["lon"], area["lat"]
