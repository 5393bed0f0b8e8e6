"""U18: who is slow, and who only keeps a place."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.pace import Pace, Pacing
from tests.ticking import let_pass

PACE = Pace(idle_s=60, bytes_per_s=200, window_s=60)


def _ended_after(pauses: list[tuple[float, int]], pace: Pace = PACE) -> float | None:
    """How long a sender is borne that sends so many bytes after so many seconds, each time."""
    pacing, passed = Pacing(pace), 0.0
    for seconds, size in pauses:
        patience = pacing.patience_s()
        if seconds > patience:
            return passed + patience
        pacing.waited(seconds)
        pacing.heard(size)
        passed += seconds
    return None


@given(st.lists(st.floats(0.01, 60), min_size=1, max_size=40))
def test_u18_two_hundred_bytes_a_second_are_enough_however_they_are_spread(
    pauses: list[float],
) -> None:
    assert _ended_after([(each, round(each * 200) + 1) for each in pauses]) is None


@given(st.lists(st.floats(0.01, 59), min_size=300, max_size=300))
def test_u18_a_byte_now_and_then_keeps_no_place(pauses: list[float]) -> None:
    """However it is timed: one window and the silence at its end, and it is over."""
    ended = _ended_after([(each, 1) for each in [*pauses, *[30.0] * 4]])
    assert ended is not None
    assert 60 <= ended < 120


@given(st.floats(60.001, 1e6), st.integers(0, 1 << 40))
def test_u18_nobody_is_silent_for_more_than_a_minute(silence: float, before: int) -> None:
    ended = _ended_after([(1, before), (silence, 1)])
    assert ended is not None
    assert ended <= 61


def test_u18_what_was_quick_is_no_merit_for_ever() -> None:
    """A window that begins anew after a good one is judged for itself."""
    burst, dribble = (1.0, 10_000_000), (10.0, 1)
    assert _ended_after([burst, *[dribble] * 20]) == 121


async def test_u18_only_what_a_sender_is_waited_for_counts() -> None:
    pacing = Pacing(PACE)
    for _ in range(3):
        async with pacing.waiting():
            pacing.heard(1)
        await let_pass(200)  # a store that is slow
    assert pacing.patience_s() == 60


def test_without_a_least_rate_only_silence_ends_it() -> None:
    assert _ended_after([(59, 1)] * 100, Pace(60, 0, 60)) is None
    assert _ended_after([(61, 1)], Pace(60, 0, 60)) == 60
