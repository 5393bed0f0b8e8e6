"""Event → what people read, in plain Chinese (pure)."""

from dataclasses import dataclass, replace

import orjson

WORDS_BYTES = 2400
"""Of people's words in one notice, as JSON in UTF-8: 800 Chinese characters."""

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
    "confirm": "已确认处理结果，办结",
    "reopen": "已重新办理，{unit}继续处置",
    "merge": "已并入同一事件办理，结果将一并告知",
    "transfer": "已移送其他机关办理",
    "assist": "{unit}已请其他单位协同处置",
    "decide_extension": "{unit}的办理期限已答复",
    "suspend": "暂时挂账，到期继续处置",
    "resume": "恢复处置，{unit}继续办理",
    "urge": "已催办{unit}",
    "raise_urgency": "紧急程度已提高",
    "auto_sign": "{unit}逾期未签收，已自动签收并开始处置",
    "auto_resume": "挂账到期，{unit}恢复处置",
    "lapse": "逾期未补正，已作废；如仍需处理请重新上报",
    "archive": "已归档",
}
_STEP_TO_REPORTER = {
    "route": "已转{unit}受理",
    "escalate": "已上报至{unit}",
    "hand_down": "已下派至{unit}",
    "dispatch": "已派遣至{unit}处置",
    "refuse": "被拒签，回到{unit}重新安排",
    "unmerge": "已撤销并件，由{unit}单独受理",
    "reopen": "已重新办理，由{unit}处置",
    "climb": "逾期未受理，已自动上报至{unit}",
    "recall": "原办理单位无人办理，回到{unit}重新安排",
}
_STEP_TO_UNIT = {
    "route": "新事件待受理",
    "escalate": "下级上报事件待受理",
    "hand_down": "上级下派事件待受理",
    "dispatch": "新派遣事件待签收",
    "refuse": "事件被拒签，请重新派遣",
    "unmerge": "并件已撤销，待受理",
    "reopen": "事件重新办理，请处置",
    "climb": "下级逾期未受理，事件自动上报待受理",
    "recall": "原办理单位无人办理，请重新派遣",
}
_CHANGE_TO_UNIT = {
    "resubmit": "补正后重新提交，待受理",
    "withdraw": "上报人已撤回",
    "reject": "已不予受理",
    "transfer": "已移送其他机关",
    "self_handle": "已自行处置并办结",
    "complete": "处置完毕，待核查",
    "verify_fail": "核查未通过，请继续处置",
    "verify_pass": "核查通过，已办结",
    "confirm": "上报人已确认，办结",
    "reopen": "上报人或调度要求重新办理，请处置",
    "assist": "请协同处置",
    "request_extension": "申请延期，待审批",
    "decide_extension": "延期申请已答复",
    "request_suspension": "申请挂账，待审批",
    "suspend": "已挂账，计时停止",
    "resume": "已恢复处置，继续计时",
    "auto_resume": "挂账到期，继续计时",
    "auto_sign": "逾期未签收，已自动签收，请处置",
    "urge": "上报人催办，请尽快办理",
    "raise_urgency": "紧急程度已提高，请按新时限办理",
    "lift_supervision": "督办已解除",
    "inform": "事件知会，请知悉",
    "assign_from_above": "上级交办，请按要求和期限办理",
    "note": "有新的内部备注",
    "add_media": "有新的附件",
    "relate": "已关联其他事件",
    "unrelate": "已取消关联",
    "lapse": "逾期未补正，已作废",
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


_CARDS = {"yellow": "黄牌督办", "red": "红牌督办"}
_OVERDUE = {
    "accept": "受理",
    "dispatch": "派遣",
    "handle": "处置",
    "verify": "核查",
    "assignment": "交办",
}


def supervised(level: str, told: Told) -> Message:
    return Message(_CARDS[level], f"事件 {told.number}，责任单位：{told.unit}，请立即办理。")


def overdue(stage: str, told: Told) -> Message:
    return Message(f"{_OVERDUE[stage]}已超期", f"事件 {told.number}，责任单位：{told.unit}。")


def merged(into: str, told: Told) -> Message:
    return Message("有事件并入", f"事件 {told.number} 已并入事件 {into}。")


def of_master(action: str, told: Told, own: str) -> Message:
    """To the reporter of a merged one: the same words, under the number they know."""
    return change_to_reporter(action, replace(told, number=f"{own}（已并入 {told.number}）"))


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
