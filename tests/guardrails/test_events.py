"""Every event is answered or left alone on purpose, and what was stored long ago still parses.

The samples in `events/` are what earlier versions wrote: a field may be added to an event with a
default, none may go. A new event writes its first sample with `pytest --write-contract`.
"""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from app.core.events import Event, OutboxRow, parse
from app.reactions import REACTIONS
from tests.guardrails.story import Story

SAMPLES = Path(__file__).parent / "events"
WITHOUT_REACTIONS: dict[str, str] = {}
"""Name → why nothing follows."""
NOT_IN_THE_STORY: frozenset[str] = frozenset({"callback.refused", "incident.glass_broken"})
"""Their samples are written by hand."""


def product() -> dict[str, type[Event]]:
    """Without the events that tests make for themselves."""
    return {n: kind for n, kind in Event.registry.items() if kind.__module__.startswith("app.")}


async def test_the_story_writes_events_that_its_samples_describe(
    told: Story, *, writing: bool
) -> None:
    """A new field stands in a new sample; the old ones stay for ever."""
    async with told.district.resources.sessions.read() as session:
        rows = (await session.scalars(select(OutboxRow).order_by(OutboxRow.id))).all()
    for row in rows:
        path = SAMPLES / f"{row.name}.json"
        kept = json.loads(path.read_text()) if path.is_file() else []
        if writing and not any(set(sample) == set(row.payload) for sample in kept):
            kept.append(row.payload)
            path.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n")
        assert any(set(sample) == set(row.payload) for sample in kept), row.name
    assert {row.name for row in rows} >= set(product()) - set(NOT_IN_THE_STORY)


def test_every_event_has_reactions_or_none_on_purpose() -> None:
    answered = {kind.name for kind, reactions in REACTIONS.items() if reactions}
    assert answered | set(WITHOUT_REACTIONS) == set(product())
    assert not answered & set(WITHOUT_REACTIONS)


def test_every_reaction_is_named_once() -> None:
    reactions = {reaction for reacting in REACTIONS.values() for reaction in reacting}
    assert len({reaction.__name__ for reaction in reactions}) == len(reactions)
    for reacting in REACTIONS.values():
        assert len(set(reacting)) == len(reacting)


@pytest.mark.parametrize("name", sorted(product()))
def test_a_stored_sample_still_parses(name: str) -> None:
    path = SAMPLES / f"{name}.json"
    assert path.is_file(), "write it with: pytest tests/guardrails --write-contract"
    for payload in json.loads(path.read_text()):
        event = parse(name, payload)
        assert event.subject_id
        assert payload.items() <= event.model_dump(mode="json").items()


@pytest.mark.parametrize("name", sorted(product()))
def test_events_carry_ids_and_facts_and_nobodys_words(name: str) -> None:
    """What people wrote stays in the row; an event says where it stands."""
    for field, described in product()[name].model_fields.items():
        assert field not in {"text", "reason", "outcome", "phone", "name", "address"}
        assert "dict" not in str(described.annotation), field


def test_every_sample_belongs_to_an_event() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(product())
