"""One matter told in Chinese on one screen, for an operator (`etong incident show`)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.core.db import one_of
from app.incidents.models import HistoryEntry, Incident, Step

STATES = {
    "submitted": "待受理",
    "accepted": "已受理",
    "dispatched": "待签收",
    "in_progress": "处置中",
    "suspended": "挂账",
    "handled": "待核查",
    "closed": "办结",
    "archived": "归档",
    "returned": "退回补正",
    "rejected": "不予受理",
    "voided": "作废",
    "merged": "并件",
    "transferred": "移送",
}
ACTIONS = {
    "report": "上报",
    "route": "分派",
    "accept": "受理",
    "return": "退回补正",
    "resubmit": "重新提交",
    "withdraw": "撤回",
    "reject": "不予受理",
    "escalate": "上报上级",
    "hand_down": "下派",
    "dispatch": "派遣",
    "sign": "签收",
    "refuse": "拒签",
    "handle_here": "自行处置",
    "progress": "进展",
    "complete": "处置完毕",
    "verify_pass": "核查通过",
    "verify_fail": "核查不通过",
    "self_handle": "自办",
    "confirm": "上报人确认",
    "rate": "评价",
    "reopen": "重新办理",
    "merge": "并件",
    "unmerge": "撤销并件",
    "transfer": "移送",
    "assist": "协办",
    "request_extension": "申请延期",
    "decide_extension": "延期批复",
    "request_suspension": "申请挂账",
    "suspend": "挂账",
    "resume": "恢复办理",
    "comment": "留言",
    "note": "内部备注",
    "add_media": "补充附件",
    "urge": "催办",
    "supervise": "督办",
    "lift_supervision": "解除督办",
    "raise_urgency": "提高紧急程度",
    "relate": "关联",
    "unrelate": "取消关联",
    "inform": "知会",
    "assign_from_above": "交办",
    "supplement": "补充",
    "raiser_informed": "已回告",
    "auto_sign": "自动签收",
    "auto_resume": "到期恢复办理",
    "lapse": "逾期未补正作废",
    "archive": "自动归档",
    "overdue": "超期",
    "card": "自动发牌",
    "climb": "逾期自动上报",
    "recall": "无人办理收回",
}
_LEVELS = {
    "yellow": "黄牌",
    "red": "红牌",
    "urgent": "紧急",
    "critical": "特急",
    "routine": "一般",
    "complex": "疑难",
}
_STAGES = {
    "accept": "受理",
    "dispatch": "派遣",
    "sign": "签收",
    "handle": "处置",
    "verify": "核查",
    "assignment": "交办",
}
_WORDS = 40
_SECRET = "（涉密）"  # noqa: S105 - a word, not a password


async def tell(session: AsyncSession, reference: str, zone: tzinfo) -> list[str] | None:
    """The lines, or None where no incident has this id or number."""
    incident = await _found(session, reference)
    if incident is None:
        return None
    entries = (
        await session.scalars(
            select(HistoryEntry)
            .where(HistoryEntry.incident_id == incident.id)
            .order_by(HistoryEntry.seq)
        )
    ).all()
    step = await session.get(Step, incident.current_step_id) if incident.current_step_id else None
    units = await _units(session, incident, entries)
    head = _head(incident, step, units, zone)
    return [*head, *(_line(entry, incident, units, zone) for entry in entries)]


async def _found(session: AsyncSession, reference: str) -> Incident | None:
    try:
        return await session.get(Incident, UUID(reference))
    except ValueError:
        return await session.scalar(select(Incident).where(Incident.number == reference))


async def _units(
    session: AsyncSession, incident: Incident, entries: Sequence[HistoryEntry]
) -> Mapping[str, str]:
    """Names by id, as the history writes ids."""
    ids = {incident.owner_unit_id, *(entry.unit_id for entry in entries)} - {None}
    ids |= {UUID(entry.facts["to_unit"]) for entry in entries if "to_unit" in entry.facts}
    rows = await session.execute(select(Unit.id, Unit.name).where(one_of(Unit.id, ids)))
    return {str(row.id): row.name for row in rows}


def _head(
    incident: Incident, step: Step | None, units: Mapping[str, str], zone: tzinfo
) -> list[str]:
    owner = units[str(incident.owner_unit_id)]
    state = STATES.get(incident.state, incident.state)
    urgency = _LEVELS.get(incident.urgency, incident.urgency)
    received = _at(incident.received_at, zone)
    lines = [
        f"事件 {incident.number}  {state}  责任单位：{owner}",
        f"类别 {incident.category}  {urgency}  收到 {received}",
        f"内容：{_SECRET if incident.sealed else _short(incident.text)}",
    ]
    if step is not None and step.due_at is not None:
        card = _LEVELS.get(step.supervision, "无")
        lines.append(f"时限 {_at(step.due_at, zone)}  督办：{card}  延期 {step.extension_days} 天")
    if incident.outcome:
        lines.append(f"结果：{_SECRET if incident.sealed else _short(incident.outcome)}")
    return lines


def _line(entry: HistoryEntry, incident: Incident, units: Mapping[str, str], zone: tzinfo) -> str:
    action = ACTIONS.get(entry.action, entry.action)
    hidden = incident.sealed and entry.actor_id in (incident.reporter_id, incident.entered_by)
    who = "上报人" if hidden else entry.actor_name
    unit = units.get(str(entry.unit_id), "")
    moved = entry.from_state != entry.to_state
    state = f" → {STATES.get(entry.to_state, entry.to_state)}" if moved else ""
    words = entry.reason or entry.text or ""
    told = _SECRET if words and incident.sealed else _short(words)
    parts = (f"{unit} {who}".strip(), _facts(entry, units), told)
    return f"{entry.seq:>3} {_at(entry.at, zone)} {action}{state}  " + "  ".join(
        filter(None, parts)
    )


def _facts(entry: HistoryEntry, units: Mapping[str, str]) -> str:
    facts = entry.facts
    told = [f"至{units.get(facts['to_unit'], '')}"] if "to_unit" in facts else []
    if "asked" in facts:
        told.append(f"申请 {facts['asked']} 天")
    if "days" in facts:
        told.append(f"{facts['days']} 天")
    if "stage" in facts:
        told.append(_STAGES.get(facts["stage"]) or str(facts["stage"]))
    if "level" in facts:
        told.append(_LEVELS.get(facts["level"]) or str(facts["level"]))
    if "score" in facts:
        told.append(f"{facts['score']} 分")
    return "，".join(told)


def _short(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= _WORDS else line[:_WORDS] + "…"


def _at(instant: datetime, zone: tzinfo) -> str:
    return instant.astimezone(zone).strftime("%m-%d %H:%M")
