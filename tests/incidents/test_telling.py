"""`etong incident show`: every word of the table has its Chinese name; a tip's words stay in it."""

from app.incidents import telling
from app.incidents.status import Action, Happening, State
from tests.district import District
from tests.incidents.paths import SEALED, incident_in


def test_every_state_and_everything_that_happens_has_its_name() -> None:
    assert telling.STATES.keys() == {str(state) for state in State}
    assert telling.ACTIONS.keys() == {str(each) for each in (*Action, *Happening)}


async def test_of_a_sealed_tip_neither_words_nor_reporter_are_told(district: District) -> None:
    incident = await incident_in(district, "accepted", **SEALED)
    async with district.resources.sessions.read() as session:
        lines = await telling.tell(session, incident, district.resources.settings.zone)
    told = "\n".join(lines or [])
    assert "撬车" not in told
    assert "需要镇里协调" not in told  # nor a reason
    assert "上报人" in told
    assert "worker" not in told


async def test_what_is_not_there_is_not_told(district: District) -> None:
    zone = district.resources.settings.zone
    async with district.resources.sessions.read() as session:
        assert await telling.tell(session, "620802105-20260311-9999", zone) is None
        assert await telling.tell(session, "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0aff", zone) is None
