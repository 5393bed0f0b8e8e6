"""The hash chain: whatever is altered shows, and at which entry; erasing texts does not."""

from copy import copy
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.core.db import new_id
from app.incidents.chain import GENESIS, entry_hash, first_break, texts_digest
from app.incidents.history import Entry, append, first_entry
from app.incidents.models import HistoryEntry, Incident
from tests.conftest import NOON


class _Added:
    """A session as far as appending goes."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def add(self, row: Any) -> None:
        self.rows.append(row)


def a_chain(length: int) -> list[HistoryEntry]:
    key = new_id()
    entry = Entry("report", None, "submitted", text="楼道堆放杂物")
    first = HistoryEntry(**first_entry(key, entry, NOON))
    incident = Incident(id=key, history_seq=1, history_head=first.hash)
    session: Any = _Added()
    for number in range(1, length):
        entry = Entry(
            "progress",
            "in_progress",
            "in_progress",
            step_id=new_id(),
            unit_id=new_id(),
            reason=f"原因{number}",
            text=f"进展{number}",
            facts={"to_unit": str(new_id()), "score": number},
        )
        append(session, incident, entry, NOON + timedelta(minutes=number))
    chain = [first, *session.rows]
    assert (incident.history_seq, incident.history_head) == (length, chain[-1].hash)
    return chain


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "incident_id": st.uuids(),
    "seq": st.integers(min_value=-5, max_value=50),
    "at": st.datetimes().map(lambda at: at.replace(year=2025).astimezone(NOON.tzinfo)),
    "actor_id": st.uuids(),
    "actor_name": st.text(max_size=20),
    "unit_id": st.none() | st.uuids(),
    "action": st.text(max_size=20),
    "from_state": st.none() | st.text(max_size=20),
    "to_state": st.text(max_size=20),
    "step_id": st.none() | st.uuids(),
    "facts": st.dictionaries(st.text(max_size=8), st.integers(0, 9) | st.text(max_size=8)),
    "texts_digest": st.binary(min_size=32, max_size=32),
    "hash": st.binary(min_size=32, max_size=32),
    "previous_hash": st.binary(min_size=32, max_size=32),
}


@given(st.data())
def test_a_single_altered_field_breaks_the_chain_at_its_entry(data: st.DataObject) -> None:
    chain = a_chain(6)
    place = data.draw(st.integers(0, 5), label="entry")
    field = data.draw(st.sampled_from(sorted(CHANGES)), label="field")
    forged = copy(chain[place])
    value = data.draw(CHANGES[field].filter(lambda v: v != getattr(forged, field)), label="value")
    setattr(forged, field, value)
    chain[place] = forged
    assert first_break(chain) == place + 1


@given(st.integers(0, 5))
def test_an_entry_forged_with_its_own_hash_breaks_the_one_after(place: int) -> None:
    chain = a_chain(7)
    chain[place].to_state = "closed"
    chain[place].hash = entry_hash(chain[place])
    assert first_break(chain) == place + 2


@given(st.integers(0, 5))
def test_a_forgery_mended_in_the_next_entrys_link_breaks_there(place: int) -> None:
    """The hash covers the hash before: whoever mends a link has to mend all that follow."""
    chain = a_chain(7)
    chain[place].to_state = "closed"
    chain[place].hash = entry_hash(chain[place])
    chain[place + 1].previous_hash = chain[place].hash
    assert first_break(chain) == place + 2


def test_an_entry_left_out_or_moved_breaks_the_chain() -> None:
    chain = a_chain(5)
    assert first_break([*chain[:2], *chain[3:]]) == 3
    assert first_break([chain[0], chain[2], chain[1], *chain[3:]]) == 2
    assert first_break(chain[1:]) == 1


def test_texts_erased_leave_the_chain_whole() -> None:
    chain = a_chain(5)
    for entry in chain:
        entry.reason = entry.text = None
    assert first_break(chain) is None


def test_a_digest_tells_reason_from_text_and_nothing_without_its_salt() -> None:
    assert texts_digest(b"s", "甲", None) != texts_digest(b"s", None, "甲")
    assert texts_digest(b"s", "甲", "乙") != texts_digest(b"t", "甲", "乙")


def test_an_untouched_chain_verifies_from_its_genesis() -> None:
    chain = a_chain(4)
    assert first_break([]) is None
    assert first_break(chain) is None
    assert chain[0].previous_hash == GENESIS
    assert [entry.seq for entry in chain] == [1, 2, 3, 4]
    assert len({entry.salt for entry in chain}) == 4
    assert isinstance(chain[0].incident_id, UUID)
