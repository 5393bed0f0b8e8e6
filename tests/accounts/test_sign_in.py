from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from app.accounts import hashing
from app.accounts.hashing import Hashing
from app.accounts.lockout import AddressPatience
from app.accounts.models import LoginFailure, Terminal
from app.core.audit import AuditEntry
from app.core.clock import FakeClock
from app.core.db import Sessions
from app.core.resources import Resources
from app.core.settings import Settings, TerminalSettings
from tests.accounts.conftest import Phone, refused
from tests.make import PASSWORD, Cast

pytestmark = pytest.mark.usefixtures("cast")


async def test_h12_without_a_token_401_names_the_scheme(phone: Phone) -> None:
    answer = await phone.http.get("/v1/me")
    refused(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "é" * 10, "x" * 5000, "eyJhbGciOiJub25lIn0.e30."]
)
async def test_h12_a_token_that_is_none_is_401(phone: Phone, token: str) -> None:
    headers = {"Authorization": b"Bearer " + token.encode()}
    answer = await phone.http.get("/v1/me", headers=headers)  # type: ignore[arg-type]  # bytes are meant
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_h12_an_expired_token_is_401(phone: Phone, cast: Cast, clock: FakeClock) -> None:
    who = await phone.sign_in(cast.worker.username)
    clock.advance(timedelta(seconds=899))
    assert (await phone.get("/me", who)).status_code == 200
    clock.advance(timedelta(seconds=1))
    refused(await phone.get("/me", who), 401, "token-expired")


async def test_a_wrong_password_is_refused_and_audited(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    answer = await phone.password(cast.worker.username, "Wrong-pass-1")
    refused(answer, 401, "invalid-credentials")
    assert "www-authenticate" in answer.headers
    async with sessions.read() as session:
        entry = await session.scalar(select(AuditEntry).where(AuditEntry.action == "login.failed"))
        assert entry is not None
        assert entry.object_id == str(cast.worker.id)


async def test_an_unknown_name_takes_the_same_path(
    phone: Phone, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    real = hashing._matches  # noqa: SLF001 - the work itself is what must be the same

    def counted(hashed: str, secret: str) -> bool:
        checked.append(hashed)
        return real(hashed, secret)

    monkeypatch.setattr(hashing, "_matches", counted)
    known = [await phone.password(cast.worker.username, "Wrong-pass-1") for _ in range(6)]
    unknown = [await phone.password("nobody-here", "Wrong-pass-1") for _ in range(6)]
    assert [a.status_code for a in known] == [401] * 5 + [423]
    assert [a.status_code for a in unknown] == [401] * 5 + [423]
    assert known[0].json()["detail"] == unknown[0].json()["detail"]
    assert len(checked) == 10


async def test_no_password_and_no_hash_never_match(resources: Resources) -> None:
    assert not await resources.the(Hashing).matches(None, "")
    assert not await resources.the(Hashing).matches(None, PASSWORD)


async def test_five_wrong_passwords_lock_for_a_quarter_of_an_hour(
    phone: Phone, cast: Cast, clock: FakeClock
) -> None:
    for _ in range(5):
        refused(
            await phone.password(cast.worker.username, "Wrong-pass-1"), 401, "invalid-credentials"
        )
    answer = await phone.password(cast.worker.username)
    refused(answer, 423, "account-locked")
    assert answer.headers["retry-after"] == "900"
    clock.advance(timedelta(seconds=899))
    refused(await phone.password(cast.worker.username), 423, "account-locked")
    clock.advance(timedelta(seconds=1))
    assert (await phone.password(cast.worker.username)).status_code == 200


async def test_the_right_password_forgives_four_wrong_ones(phone: Phone, cast: Cast) -> None:
    for _ in range(2):
        for _ in range(4):
            await phone.password(cast.worker.username, "Wrong-pass-1")
        assert (await phone.password(cast.worker.username)).status_code == 200


async def test_a_stranger_locks_nobody_out_of_their_own_handset(phone: Phone, cast: Cast) -> None:
    await phone.sign_in(cast.worker.username, terminal_id="own-1")
    for number in range(6):
        await phone.password(cast.worker.username, "Wrong-pass-1", terminal_id=f"stranger-{number}")
    refused(await phone.password(cast.worker.username, terminal_id="other"), 423, "account-locked")
    assert (await phone.password(cast.worker.username, terminal_id="own-1")).status_code == 200


async def test_the_own_handset_locks_too(phone: Phone, cast: Cast) -> None:
    await phone.sign_in(cast.worker.username, terminal_id="own-1")
    for _ in range(5):
        await phone.password(cast.worker.username, "Wrong-pass-1", terminal_id="own-1")
    refused(await phone.password(cast.worker.username, terminal_id="own-1"), 423, "account-locked")


async def test_an_account_is_told_nothing_while_locked_during_its_hash(
    phone: Phone, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guesses sent side by side: whoever is right after the lock has fallen stays outside."""
    real = Hashing.matches

    async def overtaken(self: Hashing, known: str | None, secret: str) -> bool:
        monkeypatch.setattr(Hashing, "matches", real)
        for _ in range(5):
            await phone.password(cast.worker.username, "Wrong-pass-1")
        return await real(self, known, secret)

    monkeypatch.setattr(Hashing, "matches", overtaken)
    refused(await phone.password(cast.worker.username), 423, "account-locked")


async def test_a_disabled_account_looks_unknown(
    phone: Phone,
    cast: Cast,
) -> None:
    who = await phone.sign_in(cast.worker.username)
    officer = await phone.sign_in(cast.security.username)
    answer = await phone.patch(
        f"/people/{cast.worker.id}", officer, {"state": "disabled"}, If_Match='"1"'
    )
    assert answer.status_code == 200
    refused(await phone.get("/me", who), 401, "session-ended")
    refused(await phone.password(cast.worker.username), 401, "invalid-credentials")


async def test_failures_hold_no_name_in_clear(phone: Phone, sessions: Sessions) -> None:
    await phone.password("My-Secret-Passw0rd", "x")
    async with sessions.read() as session:
        rows = (await session.scalars(select(LoginFailure.account))).all()
    assert len(rows) == 1
    assert "Secret" not in rows[0]


def test_an_address_is_slowed_from_a_hundred_failures_on(
    resources: Resources, clock: FakeClock
) -> None:
    patience = AddressPatience(resources)
    for _ in range(99):
        patience.failed("10.0.0.1")
    assert patience.delay_s("10.0.0.1") == 0
    patience.failed("10.0.0.1")
    first = patience.delay_s("10.0.0.1")
    for _ in range(200):
        patience.failed("10.0.0.1")
    assert 0 < first < patience.delay_s("10.0.0.1") == 5.0
    assert patience.delay_s("10.0.0.2") == 0
    clock.advance(timedelta(seconds=900))
    assert patience.delay_s("10.0.0.1") == 0


async def test_a_revoked_terminal_is_refused_at_the_next_request(phone: Phone, cast: Cast) -> None:
    first = await phone.password(cast.worker.username, terminal_id="lost")
    who = {"Authorization": "Bearer " + first.json()["access_token"]}
    assert (await phone.get("/me", who)).json()["terminal"] == "lost"
    officer = await phone.sign_in(cast.security.username)
    assert (await phone.post("/terminals/lost/revoke", officer)).status_code == 200
    refused(await phone.get("/me", who), 401, "session-ended")
    again = await phone.token(
        grant_type="refresh_token", refresh_token=first.json()["refresh_token"]
    )
    refused(again, 403, "terminal-revoked")
    refused(await phone.password(cast.worker.username, terminal_id="lost"), 403, "terminal-revoked")


async def test_with_approval_an_unknown_terminal_waits(
    settings: Settings, sessions: Sessions, resources: Resources, cast: Cast
) -> None:
    careful = settings.model_copy(update={"terminals": TerminalSettings(binding="approve")})
    phone = Phone(Resources(careful, sessions, resources.store, resources.wakeups, resources.clock))
    for _ in range(2):
        refused(
            await phone.password(cast.worker.username, terminal_id="new"), 403, "terminal-pending"
        )
    officer = await phone.sign_in(cast.security.username)
    waiting = await phone.get("/terminals", officer, state="pending")
    assert [item["id"] for item in waiting.json()["items"]] == ["new"]
    assert (await phone.post("/terminals/new/approve", officer)).status_code == 200
    assert (await phone.password(cast.worker.username, terminal_id="new")).status_code == 200
    await phone.http.aclose()


async def test_signing_in_binds_an_unknown_terminal(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    answer = await phone.password(
        cast.worker.username.upper(), terminal_id="t-1", terminal_model="P10", app_version="1.0"
    )
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 900
    assert answer.headers["cache-control"] == "no-store"
    async with sessions.read() as session:
        terminal = await session.get_one(Terminal, "t-1")
        assert (terminal.person_id, terminal.state) == (cast.worker.id, "active")
        assert (terminal.model, terminal.app_version) == ("P10", "1.0")


async def test_a_shared_phone_takes_each_colleague(phone: Phone, cast: Cast) -> None:
    await phone.sign_in(cast.worker.username, terminal_id="shared")
    who = await phone.sign_in(cast.village_desk.username, terminal_id="shared")
    me = (await phone.get("/me", who)).json()
    assert (me["person"]["username"], me["terminal"]) == (cast.village_desk.username, "shared")


async def test_me_says_who_where_and_what(phone: Phone, cast: Cast) -> None:
    me = (await phone.get("/me", await phone.sign_in(cast.worker.username))).json()
    assert me["person"] == {
        "id": str(cast.worker.id),
        "name": cast.worker.name,
        "username": cast.worker.username,
    }
    unit = {
        "id": str(cast.village.id),
        "code": "yonghong",
        "name": "综治中心",
        "level": "village",
    }
    assert me["roles"] == [{"role": "grid_worker", "unit": unit}]
    assert me["units"] == [unit]
    assert me["grids"] == ["620802105201001"]
    assert "report" in me["permissions"]


def _field(answer: httpx.Response, name: str) -> dict[str, int]:
    """`"default";r=2;t=1` as numbers."""
    policy, *members = answer.headers[name].split(";")
    assert policy == '"default"'
    return {key: int(value) for key, _, value in (member.partition("=") for member in members)}


@pytest.fixture
async def tight(
    settings: Settings, sessions: Sessions, resources: Resources, clock: FakeClock
) -> AsyncIterator[Phone]:
    """Three requests at once, then one a second."""
    given = settings.model_copy(update={"rate_burst": 3, "rate_per_s": 1.0})
    phone = Phone(Resources(given, sessions, resources.store, resources.wakeups, clock))
    yield phone
    await phone.http.aclose()


async def test_h8_more_than_the_burst_is_429_with_retry_after(
    tight: Phone, cast: Cast, clock: FakeClock
) -> None:
    who = await tight.sign_in(cast.worker.username)
    for left in (2, 1, 0):
        answer = await tight.get("/me", who)
        assert answer.status_code == 200
        assert _field(answer, "ratelimit") == {"r": left, "t": 3 - left}
        assert _field(answer, "ratelimit-policy") == {"q": 3, "w": 3}
    answer = await tight.get("/me", who)
    refused(answer, 429, "too-many-requests")
    assert answer.headers["retry-after"] == "1"
    assert _field(answer, "ratelimit") == {"r": 0, "t": 1}
    assert _field(answer, "ratelimit-policy") == {"q": 3, "w": 3}
    clock.advance(timedelta(seconds=1))
    assert (await tight.get("/me", who)).status_code == 200


async def test_h8_more_terminals_are_no_more_requests_for_a_person(
    tight: Phone, cast: Cast
) -> None:
    phones = [
        await tight.sign_in(cast.worker.username, terminal_id=f"phone-{number}")
        for number in range(4)
    ]
    answers = [(await tight.get("/me", who)).status_code for who in phones]
    assert answers == [200, 200, 200, 429]


async def test_h8_more_people_are_no_more_requests_for_a_terminal(tight: Phone, cast: Cast) -> None:
    people = (cast.village_desk, cast.township_desk, cast.district_desk, cast.supervisor)
    at_one = [await tight.sign_in(each.username, terminal_id="shared") for each in people]
    answers = [(await tight.get("/me", who)).status_code for who in at_one]
    assert answers == [200, 200, 200, 429]
    elsewhere = await tight.sign_in(cast.supervisor.username, terminal_id="another")
    assert (await tight.get("/me", elsewhere)).status_code == 200
