"""Event → what people read, in plain Chinese (pure)."""

from dataclasses import dataclass

import orjson

WORDS_BYTES = 2400
"""Of people's words in one notice, as JSON in UTF-8: 800 Chinese characters."""

STATES = {
    "submitted": "待受理",
    "accepted": "已受理",
    "dispatched": "待签收",
    "in_progress": "处置中",
    "handled": "待核查",
    "closed": "已办结",
    "returned": "退回补正",
    "rejected": "不予受理",
    "voided": "已作废",
}

_TO_REPORTER = {
    "accept": "{unit}已受理",
    "return": "{unit}退回补正，请补充后重新提交",
    "resubmit": "已重新提交",
    "withdraw": "已撤回",
    "reject": "{unit}不予受理",
    "sign": "{unit}已签收，开始处置",
    "handle_here": "{unit}自行处置中",
    "progress": "{unit}有新进展",
    "complete": "{unit}已处置完毕，等待核查",
    "verify_pass": "核查通过，已办结",
    "verify_fail": "核查未通过，{unit}继续处置",
    "self_handle": "已自行处置并办结",
}
_STEP_TO_REPORTER = {
    "route": "已转{unit}受理",
    "escalate": "已上报至{unit}",
    "hand_down": "已下派至{unit}",
    "dispatch": "已派遣至{unit}处置",
    "refuse": "被拒签，回到{unit}重新安排",
}
_STEP_TO_UNIT = {
    "route": "新事件待受理",
    "escalate": "下级上报事件待受理",
    "hand_down": "上级下派事件待受理",
    "dispatch": "新派遣事件待签收",
    "refuse": "事件被拒签，请重新派遣",
}
_CHANGE_TO_UNIT = {
    "resubmit": "补正后重新提交，待受理",
    "withdraw": "上报人已撤回",
    "complete": "处置完毕，待核查",
    "verify_fail": "核查未通过，请继续处置",
    "verify_pass": "核查通过，已办结",
}


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the texts of one event are made of."""

    number: str
    unit: str
    reason: str | None = None
    text: str | None = None
    sealed: bool = False
    """Its words are read in the matter and nowhere else."""


def received(told: Told) -> Message:
    return Message("上报已收到", f"事件 {told.number} 已收到，值守单位：{told.unit}。")


def step_to_reporter(action: str, told: Told) -> Message:
    return _with_words(_STEP_TO_REPORTER[action].format(unit=told.unit), told)


def change_to_reporter(action: str, told: Told) -> Message:
    return _with_words(_TO_REPORTER[action].format(unit=told.unit), told)


def step_to_unit(action: str, told: Told) -> Message:
    return Message(_STEP_TO_UNIT[action], f"事件 {told.number}，请及时办理。")


def informed(told: Told) -> Message:
    return Message("紧急事件知会", f"事件 {told.number} 已由{told.unit}办理，请知悉。")


def change_to_unit(action: str, told: Told) -> Message | None:
    """None: staff are not told of this action."""
    title = _CHANGE_TO_UNIT.get(action)
    return Message(title, f"事件 {told.number}。") if title else None


def unseen(told: Told) -> Message:
    return Message(
        "处理结果尚未查看",
        f"事件 {told.number} 的处理结果，上报人逾两小时未查看，请当面或电话告知。",
    )


def commented(told: Told) -> Message:
    return _with_words("有新留言", told)


def rated(told: Told, score: int) -> Message:
    return Message("上报人已评价", f"事件 {told.number} 评分 {score} 分。")


def glass_broken(told: Told) -> Message:
    return Message(
        "密件被应急查阅", f"密件 {told.number} 被名单以外的上级人员查阅，理由见查阅记录。"
    )


def files_complete(told: Told) -> Message:
    return Message("附件已收齐", f"事件 {told.number} 的附件已全部收到。")


def file_lost(told: Told) -> Message:
    return Message(
        "附件需重新上传",
        f"事件 {told.number} 的一个附件在存储中损坏，请用保存原文件的手机重新上传。",
    )


def clipped(words: str) -> str:
    """As much as a frame of the stream has room for (P6); an ellipsis stands for the rest."""
    room = WORDS_BYTES
    if len(orjson.dumps(words)) - 2 <= room:
        return words
    for place, character in enumerate(words):
        room -= len(orjson.dumps(character)) - 2
        if room < 0:
            return words[:place] + "…"
    return words


def _with_words(title: str, told: Told) -> Message:
    """The outcome, reason or remark stands in the body: no matter ends without words."""
    if told.sealed:
        return Message(title, f"事件 {told.number}，内容请打开事件查看。")
    words = clipped(told.text or told.reason or "")
    return Message(title, f"事件 {told.number}：{words}" if words else f"事件 {told.number}。")
