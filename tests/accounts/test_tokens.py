from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import func, select

from app.accounts.access_tokens import read_access_token
from app.accounts.models import LoginSession, RefreshToken
from app.accounts.recognition import CallerCache, recognise
from app.accounts.tokens import prune_sessions
from app.core.audit import AuditEntry
from app.core.clock import FakeClock
from app.core.db import Sessions
from app.core.resources import Resources
from tests.accounts.conftest import Phone, refused
from tests.make import Cast


async def refresh(phone: Phone, token: str, **more: str) -> httpx.Response:
    return await phone.token(grant_type="refresh_token", refresh_token=token, **more)


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": "Bearer " + answer.json()["access_token"]}


async def live_tokens(sessions: Sessions) -> int:
    """Refresh tokens that would be taken."""
    async with sessions.read() as session:
        living = await session.scalar(
            select(func.count())
            .select_from(RefreshToken)
            .join(LoginSession, LoginSession.id == RefreshToken.session_id)
            .where(RefreshToken.used_at.is_(None), LoginSession.revoked_at.is_(None))
        )
    return living or 0


async def test_a_reused_refresh_token_ends_the_whole_session(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    first = await phone.password(cast.worker.username, terminal_id="t")
    second = await refresh(phone, first.json()["refresh_token"])
    assert second.status_code == 200
    refused(await refresh(phone, first.json()["refresh_token"]), 401, "refresh-token-reused")
    refused(await refresh(phone, second.json()["refresh_token"]), 401, "refresh-token-invalid")
    for pair in (first, second):
        refused(await phone.get("/me", bearer(pair)), 401, "session-ended")
    async with sessions.read() as session:
        entry = await session.scalar(select(AuditEntry).where(AuditEntry.action == "session.ended"))
        assert entry is not None
        assert entry.facts["reason"] == "refresh-token-reused"


async def test_the_same_request_again_gets_a_fresh_pair_once(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    first = await phone.password(cast.worker.username, terminal_id="t")
    old = first.json()["refresh_token"]
    lost = await refresh(phone, old, terminal_id="t", key="k-1")
    again = await refresh(phone, old, terminal_id="t", key="k-1")
    assert again.status_code == 200
    assert await live_tokens(sessions) == 1
    refused(await refresh(phone, old, terminal_id="t", key="k-1"), 401, "refresh-token-reused")
    assert await live_tokens(sessions) == 0
    assert lost.json()["refresh_token"] != again.json()["refresh_token"]


async def test_the_lost_successor_turning_up_ends_the_session(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    first = await phone.password(cast.worker.username, terminal_id="t")
    old = first.json()["refresh_token"]
    lost = await refresh(phone, old, terminal_id="t", key="k-1")
    await refresh(phone, old, terminal_id="t", key="k-1")
    refused(
        await refresh(phone, lost.json()["refresh_token"], terminal_id="t", key="k-1"),
        401,
        "refresh-token-reused",
    )
    assert await live_tokens(sessions) == 0


async def test_a_repeat_needs_the_same_key_terminal_minute_and_an_unused_successor(
    phone: Phone, cast: Cast, clock: FakeClock
) -> None:
    repeats: tuple[dict[str, Any], ...] = (
        {"terminal_id": "t", "key": "k-2"},
        {"terminal_id": "t"},
        {"key": "k-1"},
        {"terminal_id": "t", "key": "k-1", "wait": 61},
        {"terminal_id": "t", "key": "k-1", "use": True},
    )
    for repeat in repeats:
        first = await phone.password(cast.worker.username, terminal_id="t")
        old = first.json()["refresh_token"]
        second = await refresh(phone, old, terminal_id="t", key="k-1")
        clock.advance(timedelta(seconds=repeat.pop("wait", 0)))
        if repeat.pop("use", False):
            await refresh(phone, second.json()["refresh_token"], terminal_id="t")
        refused(await refresh(phone, old, **repeat), 401, "refresh-token-reused")


async def test_a_refresh_token_from_another_terminal_ends_the_session(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    first = await phone.password(cast.worker.username, terminal_id="t")
    stolen = await refresh(phone, first.json()["refresh_token"], terminal_id="thief")
    refused(stolen, 401, "refresh-token-invalid")
    assert await live_tokens(sessions) == 0


async def test_a_refresh_token_ends_after_thirty_days_without_use(
    phone: Phone, cast: Cast, clock: FakeClock
) -> None:
    first = await phone.password(cast.worker.username)
    clock.advance(timedelta(days=29))
    second = await refresh(phone, first.json()["refresh_token"])
    assert second.status_code == 200
    clock.advance(timedelta(days=30))
    refused(await refresh(phone, second.json()["refresh_token"]), 401, "refresh-token-invalid")


async def test_garbage_is_no_refresh_token(phone: Phone) -> None:
    refused(await refresh(phone, "garbage"), 401, "refresh-token-invalid")


async def test_revoking_either_token_signs_out_and_unknown_ones_are_fine(
    phone: Phone, cast: Cast
) -> None:
    for kind in ("access_token", "refresh_token"):
        pair = await phone.password(cast.worker.username)
        who = bearer(pair)
        assert (await phone.get("/me", who)).status_code == 200
        answer = await phone.http.post("/v1/token/revoke", data={"token": pair.json()[kind]})
        assert answer.status_code == 200
        refused(await phone.get("/me", who), 401, "session-ended")
    assert (await phone.http.post("/v1/token/revoke", data={"token": "unknown"})).status_code == 200
    refused(await phone.http.post("/v1/token/revoke", data={"x": "y"}), 422, "validation-failed")


async def test_my_sessions_are_listed_and_ended_and_others_are_not(
    phone: Phone, cast: Cast
) -> None:
    here = await phone.sign_in(cast.worker.username, terminal_id="here")
    there = await phone.sign_in(cast.worker.username, terminal_id="there")
    stranger = await phone.sign_in(cast.other_worker.username)
    listed = (await phone.get("/me/sessions", here)).json()["items"]
    assert [(item["terminal_id"], item["current"]) for item in listed] == [
        ("there", False),
        ("here", True),
    ]
    path = f"/v1/me/sessions/{listed[0]['id']}"
    refused(await phone.http.delete(path, headers=stranger), 404, "session-not-found")
    assert (await phone.http.delete(path, headers=here)).status_code == 204
    refused(await phone.get("/me", there), 401, "session-ended")
    assert (await phone.get("/me", here)).status_code == 200


async def test_another_process_notices_within_five_seconds(
    phone: Phone, cast: Cast, sessions: Sessions, resources: Resources, clock: FakeClock
) -> None:
    elsewhere = Phone(
        Resources(resources.settings, sessions, resources.store, resources.wakeups, clock)
    )
    pair = await phone.password(cast.worker.username)
    assert (await elsewhere.get("/me", bearer(pair))).status_code == 200
    await phone.http.post("/v1/token/revoke", data={"token": pair.json()["access_token"]})
    clock.advance(timedelta(seconds=5))
    refused(await elsewhere.get("/me", bearer(pair)), 401, "session-ended")
    await elsewhere.http.aclose()


async def test_what_was_read_before_a_revocation_is_not_kept(
    phone: Phone, cast: Cast, resources: Resources
) -> None:
    pair = await phone.password(cast.worker.username)
    claims = read_access_token(resources, pair.json()["access_token"])
    cache = resources.the(CallerCache)
    before = cache.generation
    caller = await recognise(resources, claims)
    cache.clear()
    cache.put(caller, before)
    assert cache.get(claims.session_id) is None


async def test_old_sessions_are_pruned(
    phone: Phone, cast: Cast, sessions: Sessions, clock: FakeClock
) -> None:
    await phone.password(cast.worker.username)
    async with sessions.begin() as session:
        await prune_sessions(session, clock.now())
        assert await session.scalar(select(func.count()).select_from(LoginSession)) == 1
        await prune_sessions(session, clock.now() + timedelta(days=61))
        assert await session.scalar(select(func.count()).select_from(RefreshToken)) == 0
