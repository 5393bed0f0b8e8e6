"""The texts: they say what happened in words, and fit into a frame of the stream."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.notifications import messages
from app.notifications.messages import WORDS_BYTES, Message, Told

NUMBER = "620802105-20260311-0001"


@given(st.text(st.characters(codec="utf-8"), max_size=5000))
def test_p6_peoples_words_are_cut_to_what_a_frame_has_room_for(words: str) -> None:
    clipped = messages.clipped(words)
    assert len(orjson.dumps(clipped)) <= WORDS_BYTES + len("…".encode()) + 2
    if clipped != words:
        assert words.startswith(clipped[:-1])
        assert clipped.endswith("…")
        assert len(orjson.dumps(words[: len(clipped)])) - 2 > WORDS_BYTES


@pytest.mark.parametrize("words", ["字" * 5000, "\x01" * 5000, '"' * 5000, "👮" * 5000])
def test_p6_the_longest_words_are_cut(words: str) -> None:
    clipped = messages.clipped(words)
    assert WORDS_BYTES - 6 < len(orjson.dumps(clipped)) <= WORDS_BYTES + 5


def test_usual_words_stand_whole() -> None:
    assert messages.clipped("字" * 800) == "字" * 800


def test_an_outcome_or_a_reason_stands_in_the_body() -> None:
    told = Told(NUMBER, "柳湖派出所", reason="位置不清")
    assert messages.change_to_reporter("return", told) == Message(
        "柳湖派出所退回补正，请补充后重新提交", f"事件 {NUMBER}：位置不清"
    )
    done = Told(NUMBER, "柳湖派出所", reason="理由", text="杂物已清")
    assert messages.change_to_reporter("complete", done).body == f"事件 {NUMBER}：杂物已清"
    assert messages.change_to_reporter("accept", Told(NUMBER, "甲")).body == f"事件 {NUMBER}。"


def test_staff_are_told_of_what_waits_for_them_only() -> None:
    told = Told(NUMBER, "甲")
    assert messages.change_to_unit("accept", told) is None
    assert messages.change_to_unit("complete", told) is not None
