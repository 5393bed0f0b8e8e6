from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.hashing import demand_strong, weaknesses
from app.accounts.models import Person
from app.accounts.sign_in_errors import PasswordTooWeak
from app.core.clock import FakeClock
from app.core.db import Sessions
from tests.accounts.conftest import Phone, refused
from tests.make import PASSWORD, Cast

OTHERS = [f"Another-pass-{n}" for n in range(6)]

pytestmark = pytest.mark.usefixtures("cast")


@pytest.mark.parametrize(
    ("password", "reasons"),
    [
        ("Ab1-", ["length"]),
        ("alllowercase", ["kinds"]),
        ("lower-and-sign", ["kinds"]),
        ("Zhang-San-2026", ["user-name"]),
        ("Tab\tInside-1", ["control-character"]),
        ("Aa1-" * 40, ["length"]),
        ("", ["length", "kinds"]),
    ],
)
def test_weak_passwords_name_what_is_missing(password: str, reasons: list[str]) -> None:
    assert weaknesses(password, "zhang-san") == reasons
    with pytest.raises(PasswordTooWeak):
        demand_strong(password, "zhang-san")


@given(st.text(max_size=200))
def test_any_text_can_be_judged(password: str) -> None:
    reasons = weaknesses(password, "zhang-san")
    assert ("length" in reasons) == (not 10 <= len(password) <= 128)


def test_good_passwords_pass() -> None:
    for password in (PASSWORD, "四个字加Abc123456", "lower1234567-"):
        assert weaknesses(password, "worker") == []


async def change(phone: Phone, who: dict[str, str], old: str, new: str) -> int:
    answer = await phone.post("/me/password", who, {"old": old, "new": new})
    return answer.status_code


async def test_the_old_password_is_asked_for_and_counted(phone: Phone) -> None:
    who = await phone.sign_in("worker-yonghong")
    for _ in range(5):
        answer = await phone.post("/me/password", who, {"old": "wrong", "new": OTHERS[0]})
        refused(answer, 403, "old-password-wrong")
    answer = await phone.post("/me/password", who, {"old": PASSWORD, "new": OTHERS[0]})
    refused(answer, 423, "account-locked")
    assert (await phone.get("/me", who)).status_code == 200


async def test_i11_a_change_whose_answer_got_lost_can_be_sent_again(phone: Phone) -> None:
    """As often as needed: none of it counts as a wrong password."""
    who = await phone.sign_in("worker-yonghong")
    assert [await change(phone, who, PASSWORD, OTHERS[0]) for _ in range(7)] == [204] * 7
    refused(await phone.password("worker-yonghong"), 401, "invalid-credentials")
    assert (await phone.password("worker-yonghong", OTHERS[0])).status_code == 200
    other = await phone.post("/me/password", who, {"old": PASSWORD, "new": OTHERS[1]})
    refused(other, 403, "old-password-wrong")


async def test_the_last_five_are_not_used_again(phone: Phone, clock: FakeClock) -> None:
    who = await phone.sign_in("worker-yonghong")
    present = PASSWORD
    for new in OTHERS[:4]:
        clock.advance(timedelta(seconds=1))
        assert await change(phone, who, present, new) == 204
        present = new
    for former in (PASSWORD, *OTHERS[:4]):
        answer = await phone.post("/me/password", who, {"old": present, "new": former})
        refused(answer, 422, "password-used-before")
    clock.advance(timedelta(seconds=1))
    assert await change(phone, who, present, OTHERS[4]) == 204
    assert await change(phone, who, OTHERS[4], PASSWORD) == 204


async def test_a_change_ends_the_other_sessions(phone: Phone) -> None:
    here = await phone.sign_in("worker-yonghong")
    there = await phone.sign_in("worker-yonghong")
    assert await change(phone, here, PASSWORD, OTHERS[0]) == 204
    refused(await phone.get("/me", there), 401, "session-ended")
    assert (await phone.get("/me", here)).status_code == 200
    refused(await phone.password("worker-yonghong"), 401, "invalid-credentials")


async def test_who_must_change_the_password_does_nothing_else(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        person = await session.get_one(Person, cast.worker.id)
        person.must_change_password = True
    who = await phone.sign_in("worker-yonghong")
    assert (await phone.get("/me", who)).json()["must_change_password"] is True
    refused(await phone.get("/units", who), 403, "password-change-required")
    assert await change(phone, who, PASSWORD, OTHERS[0]) == 204
    assert (await phone.get("/units", who)).status_code == 200


async def reset_code(phone: Phone, cast: Cast) -> str:
    officer = await phone.sign_in("security")
    answer = await phone.post(f"/people/{cast.worker.id}/password-reset", officer)
    assert answer.status_code == 201
    code: str = answer.json()["code"]
    return code


async def reset(phone: Phone, code: str, new: str, username: str = "worker-yonghong") -> str:
    body = {"username": username, "code": code, "new_password": new}
    answer = await phone.post("/password-reset", {}, body)
    return "" if answer.status_code == 204 else str(answer.json()["code"])


async def test_a_code_works_once_for_its_person_and_three_days(
    phone: Phone, cast: Cast, clock: FakeClock
) -> None:
    earlier, code = await reset_code(phone, cast), await reset_code(phone, cast)
    assert await reset(phone, earlier, OTHERS[0]) == "reset-code-invalid"
    assert await reset(phone, code, OTHERS[0], "worker-minxin") == "reset-code-invalid"
    assert await reset(phone, code, "weak") == "password-too-weak"
    assert await reset(phone, code, PASSWORD) == "password-used-before"
    assert await reset(phone, code.lower(), OTHERS[0]) == ""
    assert await reset(phone, code, OTHERS[1]) == "reset-code-invalid"
    late = await reset_code(phone, cast)
    clock.advance(timedelta(days=3))
    assert await reset(phone, late, OTHERS[1]) == "reset-code-invalid"


async def test_i11_a_reset_whose_answer_got_lost_can_be_sent_again(
    phone: Phone, cast: Cast
) -> None:
    code = await reset_code(phone, cast)
    assert [await reset(phone, code, OTHERS[0]) for _ in range(7)] == [""] * 7
    assert await reset(phone, code, OTHERS[1]) == "reset-code-invalid"
    assert await reset(phone, code, PASSWORD) == "reset-code-invalid"
    assert (await phone.password("worker-yonghong", OTHERS[0])).status_code == 200


async def test_guessing_codes_locks(phone: Phone, cast: Cast) -> None:
    code = await reset_code(phone, cast)
    for _ in range(5):
        assert await reset(phone, "WRONG", OTHERS[0]) == "reset-code-invalid"
    assert await reset(phone, code, OTHERS[0]) == "account-locked"


async def test_a_reset_ends_sessions_and_opens_locks(phone: Phone, cast: Cast) -> None:
    who = await phone.sign_in("worker-yonghong")
    code = await reset_code(phone, cast)
    for _ in range(5):
        await phone.password("worker-yonghong", "Wrong-pass-1")
    assert await reset(phone, code, OTHERS[0]) == ""
    refused(await phone.get("/me", who), 401, "session-ended")
    assert (await phone.password("worker-yonghong", OTHERS[0])).status_code == 200
