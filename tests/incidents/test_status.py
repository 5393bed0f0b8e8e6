"""The transitions table as data."""

from app.incidents.assignments import STAGE
from app.incidents.status import (
    AUTOMATIC,
    BY_ACTION,
    BY_HAPPENING,
    ENDED,
    FINAL,
    INTAKE_EDGES,
    INTERNAL,
    OPEN,
    STAGES,
    TRANSITIONS,
    Action,
    Happening,
    State,
    Who,
    edges,
)
from app.notifications import messages
from app.notifications.messages import Told


def test_final_states_have_no_way_out_but_undoing_a_merge() -> None:
    ways_out = {
        (row.action, state) for row in (*TRANSITIONS, *AUTOMATIC) for state in row.sources & FINAL
    }
    assert ways_out == {(Action.UNMERGE, State.MERGED)}


def test_nobody_can_ask_for_what_only_the_system_does() -> None:
    assert not {str(item) for item in Happening} & {str(item) for item in Action}
    assert {row.who for row in AUTOMATIC} == {None}


def test_every_other_action_has_exactly_one_row() -> None:
    assert len(BY_ACTION) == len(TRANSITIONS)
    assert BY_ACTION.keys() == set(Action)
    assert len(BY_HAPPENING) == len(AUTOMATIC)


def test_every_state_is_reached_and_every_open_state_can_be_left() -> None:
    reached = {target for _, target in edges()}
    assert reached == set(State)
    for state in OPEN:
        assert any(source == state != target for source, target in edges()), state


def test_nothing_can_stay_in_a_state_for_ever() -> None:
    """Every state that is not final has something that happens by itself."""
    waking = {state for row in AUTOMATIC for state in row.sources}
    assert waking == set(State) - FINAL


def test_only_the_intake_begins_a_history() -> None:
    assert {edge for edge in edges() if edge[0] is None} == INTAKE_EDGES


def test_edges_are_those_of_the_domain() -> None:
    """The normative table of states, written down a second time."""
    allowed = {
        (None, "submitted"), (None, "closed"),
        ("submitted", "submitted"), ("submitted", "accepted"), ("submitted", "returned"),
        ("submitted", "rejected"), ("submitted", "closed"), ("submitted", "voided"),
        ("submitted", "dispatched"),
        ("accepted", "submitted"), ("accepted", "dispatched"), ("accepted", "in_progress"),
        ("accepted", "accepted"), ("dispatched", "dispatched"), ("handled", "handled"),
        ("dispatched", "in_progress"), ("dispatched", "accepted"),
        ("in_progress", "in_progress"), ("in_progress", "handled"), ("in_progress", "accepted"),
        ("handled", "closed"), ("handled", "in_progress"), ("closed", "closed"),
        ("returned", "submitted"), ("returned", "voided"), ("returned", "returned"),
        ("submitted", "merged"), ("accepted", "merged"), ("merged", "submitted"),
        ("submitted", "transferred"), ("accepted", "transferred"),
        ("in_progress", "suspended"), ("suspended", "in_progress"), ("suspended", "suspended"),
        ("closed", "in_progress"), ("closed", "archived"),
    }  # fmt: skip
    assert {(source and str(source), str(target)) for source, target in edges()} == allowed


def test_a_clock_runs_in_every_open_state_but_returned_and_suspended() -> None:
    assert STAGES.keys() == OPEN - {State.RETURNED, State.SUSPENDED}
    assert not STAGES.keys() & ENDED


def test_a_reason_is_mandatory_where_the_domain_says_so() -> None:
    reasoned = {row.action for row in TRANSITIONS if "reason" in row.needs}
    assert reasoned == {
        Action.RETURN,
        Action.REJECT,
        Action.REFUSE,
        Action.ESCALATE,
        Action.VERIFY_FAIL,
        Action.REQUEST_EXTENSION,
        Action.REQUEST_SUSPENSION,
        Action.SUSPEND,
        Action.REOPEN,
    }


def test_nothing_is_handled_or_closed_without_an_outcome() -> None:
    for row in TRANSITIONS:
        if row.target is State.HANDLED or (
            row.target is State.CLOSED and State.HANDLED not in row.sources
        ):
            assert "outcome" in row.needs, row.action


def test_who_may_is_somebody_for_every_row() -> None:
    assert {row.who for row in TRANSITIONS} == set(Who)


def test_every_move_has_words_for_its_reporter_and_internal_ones_for_staff() -> None:
    told = Told("620802105-20260311-0001", "柳湖镇综治中心")
    silent = {Action.RATE, Action.COMMENT, Action.SUPERVISE, Happening.OVERDUE, Happening.CARD}
    for row in (*TRANSITIONS, *AUTOMATIC):
        if row.new_step:
            assert messages.step_to_reporter(row.action, told).title
            assert messages.step_to_unit(row.action, told).title
        elif row.action in INTERNAL - silent:
            assert messages.change_to_unit(row.action, told), row.action
        elif row.action not in silent:
            assert messages.change_to_reporter(row.action, told).title
    assert messages.step_to_reporter(Happening.ROUTE, told).title
    # a report that was self-handled gets its first step when it is opened again
    assert messages.step_to_reporter(Action.REOPEN, told).title
    for level in ("yellow", "red"):
        assert messages.supervised(level, told).title
    for stage in {*STAGES.values(), STAGE} - {"sign"}:
        assert messages.overdue(stage, told).title
