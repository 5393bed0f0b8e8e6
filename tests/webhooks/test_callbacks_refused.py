"""W16: what is not let in, what is let in and then refused, and who may not look."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app.core.db import new_id
from app.incidents.models import HistoryEntry
from app.webhooks.applying import FAILURES, LADDER
from app.webhooks.callback_pump import CallbackPump
from app.webhooks.models import Callback
from app.webhooks.signing import new_secret
from tests.district import LIUHU, POLICE_LIUHU, District
from tests.incidents.paths import SEALED, incident_in
from tests.webhooks.calling import PLATFORM, Calling, at_township, message, signed_in_platform
from tests.webhooks.receivers import Platform

BODY = message({"incident_id": "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11", "action": "accept"})
Headers = dict[str, str]


@pytest.fixture(scope="module")
async def calling(shared_district: District) -> Calling:
    return await Calling.of(shared_district)


async def _stored(calling: Calling) -> int:
    async with calling.district.resources.sessions.read() as session:
        return await session.scalar(select(func.count()).select_from(Callback)) or 0


async def _unauthenticated(calling: Calling, headers: Headers, body: bytes = BODY) -> None:
    before = await _stored(calling)
    answer = await calling.post(body, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "callback-unauthenticated")
    assert answer.json()["detail"] == "回调签名无效或已过期"
    assert await _stored(calling) == before


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_w16_each_header_is_needed(calling: Calling, name: str) -> None:
    headers = calling.signed(BODY, "msg_1")
    del headers[name]
    await _unauthenticated(calling, headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", ""),
        ("webhook-id", "x" * 201),
        ("webhook-id", "msg/1"),
        ("webhook-id", "msg 1"),
        ("webhook-id", "msg\xe9"),
        ("webhook-timestamp", "soon"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "1e9"),
        ("webhook-timestamp", "1" * 400),
        ("webhook-timestamp", "\xb2"),
        ("webhook-signature", ""),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1,not base64"),
        ("webhook-signature", "v1a,AAAA v2,AAAA"),
        ("webhook-signature", " " * 500),
        ("webhook-signature", "\xff\xfe"),
    ],
)
async def test_w16_malformed_headers_are_401_and_never_500(
    calling: Calling, name: str, value: str
) -> None:
    headers = calling.signed(BODY, value if name == "webhook-id" and value.isascii() else "msg_1")
    async with calling.district.anonymous() as client:
        answer = await client.post(
            f"/v1/callbacks/{PLATFORM}",
            content=BODY,
            headers=[
                (key.encode(), each.encode("latin-1"))
                for key, each in (headers | {name: value}).items()
            ],
        )
    assert (answer.status_code, answer.json()["code"]) == (401, "callback-unauthenticated")


@pytest.mark.parametrize("seconds", [-301, 301, -86_400])
async def test_w16_an_old_or_early_signature_is_refused(calling: Calling, seconds: int) -> None:
    at = calling.district.clock.now() + timedelta(seconds=seconds)
    await _unauthenticated(calling, calling.signed(BODY, "msg_1", at=at))


async def test_w16_an_altered_byte_another_id_or_secret_is_refused(calling: Calling) -> None:
    headers = calling.signed(BODY, "msg_1")
    for place in (0, len(BODY) // 2, len(BODY) - 1):
        altered = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        await _unauthenticated(calling, headers, altered)
    await _unauthenticated(calling, headers | {"webhook-id": "msg_2"})
    await _unauthenticated(calling, calling.signed(BODY, "msg_1", secret=new_secret()))


async def test_w16_another_platform_signs_for_itself_only(calling: Calling) -> None:
    other = await _another(calling.district)
    await _unauthenticated(calling, other.signed(BODY, "msg_1"))
    await _unauthenticated(other, calling.signed(BODY, "msg_1"))


@pytest.mark.parametrize("code", ["nobody", "0", "a.b:c_d-e", "A" * 64])
async def test_w16_an_unknown_platform_is_not_told_apart(calling: Calling, code: str) -> None:
    unknown = Calling(calling.district, calling.pump, code, calling.secret)
    await _unauthenticated(unknown, unknown.signed(BODY, "msg_1"))


async def test_w16_without_a_secret_of_its_own_nothing_is_believed(calling: Calling) -> None:
    other = await _another(calling.district, secret=False)
    await _unauthenticated(other, calling.signed(BODY, "msg_1"))


async def test_w16_a_disabled_platform_is_not_heard(district: District) -> None:
    calling = await Calling.of(district)
    waiting = await calling.send({"incident_id": await at_township(district), "action": "accept"})
    admin = await district.client("admin")
    await admin.post(f"/v1/platforms/{await calling.id()}/disable")
    await _unauthenticated(calling, calling.signed(BODY, "msg_1"))
    # what it had said before is not done any more either
    await calling.pump.drain()
    told = await calling.told(waiting)
    assert (told["state"], told["code"]) == ("refused", "forbidden")


async def test_w16_a_body_over_256_kib_is_refused_unread(calling: Calling) -> None:
    body = b" " * (256 * 1024)
    assert (await calling.post(body, calling.signed(body, "msg_big"))).status_code == 202
    body += b" "
    before = await _stored(calling)
    answer = await calling.post(body, calling.signed(body, "msg_too_big"))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload-too-large")
    assert await _stored(calling) == before


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed-json"),
        (b"{", "malformed-json"),
        (b"\xff\xfe", "malformed-json"),
        (b"[" * 100_000, "malformed-json"),
        (b"[]", "validation-failed"),
        (b'{"type": "incident.transition"}', "validation-failed"),
        (b'{"type": "incident.closed", "data": {"number": "1"}}', "validation-failed"),
        (message({"action": "accept"}), "validation-failed"),
        (message({"incident_id": "one", "action": "accept"}), "validation-failed"),
        (message({"number": "1"}), "validation-failed"),
        (message({"number": "1", "action": "explode"}), "validation-failed"),
        (message({"number": "1", "action": "accept", "sequence": -1}), "validation-failed"),
        (message({"number": "1", "action": "accept", "secret": 1}), "validation-failed"),
        (message({"number": "1\0", "action": "accept"}), "validation-failed"),
        (
            message({"type": "incident.comment", "number": "1", "action": "accept"}),
            "validation-failed",
        ),
    ],
)
async def test_w16_what_makes_no_sense_is_kept_refused_and_told(
    calling: Calling, body: bytes, code: str
) -> None:
    webhook_id = f"msg_{new_id()}"
    assert (await calling.post(body, calling.signed(body, webhook_id))).status_code == 202
    await calling.pump.drain()
    told = await calling.told(webhook_id)
    assert (told["state"], told["code"]) == ("refused", code)
    assert told["detail"]
    assert told["next_attempt_at"] is None


@pytest.mark.parametrize(
    ("state", "content", "code"),
    [
        ("accepted", {"action": "accept"}, "action-not-allowed"),
        ("accepted", {"action": "dispatch"}, "field-required"),
        ("in_progress", {"action": "complete", "outcome": "已办"}, "action-forbidden"),
        ("handled", {"action": "verify_pass"}, "action-forbidden"),
        ("closed", {"action": "rate", "text": "很好"}, "action-forbidden"),
        ("closed", {"type": "incident.comment", "text": "还有"}, "action-not-allowed"),
    ],
)
async def test_w16_a_platform_may_what_its_unit_may_and_never_verifies(
    calling: Calling, state: str, content: dict[str, Any], code: str
) -> None:
    incident = await incident_in(calling.district, state)
    before = await _entries(calling.district)
    assert await calling.became({"incident_id": incident, **content}) == ("refused", code)
    assert await _entries(calling.district) == before


async def _entries(district: District) -> int:
    async with district.resources.sessions.read() as session:
        return await session.scalar(select(func.count()).select_from(HistoryEntry)) or 0


async def test_w16_what_it_completed_itself_people_verify(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    for way in (
        {"action": "accept"},
        {"action": "handle_here"},
        {"action": "complete", "outcome": "已清"},
    ):
        assert await calling.became({"incident_id": incident, **way}) == ("applied", None)
    refused = await calling.became({"incident_id": incident, "action": "verify_pass"})
    assert refused == ("refused", "action-forbidden")
    assert (await district.act("desk-liuhu", incident, "verify_pass")).status_code == 200


@pytest.mark.parametrize("changes", [SEALED, {}], ids=["sealed", "another unit's"])
async def test_w16_what_its_unit_has_no_part_in_is_unknown_to_it(
    district: District, changes: dict[str, Any]
) -> None:
    calling = await Calling.of(district)
    incident: str = (await district.report(**changes))["id"]
    webhook_id = await calling.send({"incident_id": incident, "action": "accept"})
    started = district.clock.now()
    for wait in LADDER:
        await calling.pump.drain()
        told = await calling.told(webhook_id)
        assert (told["state"], told["code"]) == ("parked", "incident-unknown")
        assert told["incident_id"] is None
        district.clock.set(started + wait)
    await calling.pump.drain()
    told = await calling.told(webhook_id)
    assert (told["state"], told["code"], told["attempts"]) == ("refused", "incident-unknown", 7)


async def test_w16_a_sealed_matter_at_its_own_unit_is_unknown_to_a_platform(
    district: District,
) -> None:
    calling = await Calling.of(district)
    incident: str = (await district.report(**SEALED))["id"]
    async with district.resources.sessions.begin() as session:
        await session.execute(
            text(
                "UPDATE steps SET unit_id = p.unit_id, opened_by = p.unit_id"
                " FROM platforms p WHERE incident_id = :id"
            ),
            {"id": incident},
        )
    became = await calling.became({"incident_id": incident, "action": "accept"})
    assert became == ("parked", "incident-unknown")
    async with signed_in_platform(calling) as client:
        assert (await client.get(f"/v1/incidents/{incident}")).status_code == 404


async def test_w16_a_refusal_is_sent_to_the_platform(platform: Platform) -> None:
    district = platform.district
    calling = await Calling.of(district)
    await platform.subscribe(area_codes=[LIUHU], types=["callback.refused"])
    incident = await incident_in(district, "accepted")
    webhook_id = await calling.send({"incident_id": incident, "action": "accept"})
    await calling.pump.drain()
    await platform.told()
    (call,) = platform.receiver.of("callback.refused")
    assert call.json["data"] == {
        "platform": PLATFORM,
        "webhook_id": webhook_id,
        "code": "action-not-allowed",
        "incident_id": incident,
    }


async def test_w16_a_refusal_concerns_no_other_area(platform: Platform) -> None:
    calling = await Calling.of(platform.district)
    await platform.subscribe(area_codes=["620802003"], types=["*"])
    assert (await calling.became({"number": "1"}))[0] == "refused"
    await platform.told()
    assert not platform.receiver.of("callback.refused")


async def test_f13_an_error_of_ours_is_tried_five_times_then_told(platform: Platform) -> None:
    district = platform.district
    calling = await Calling.of(district)
    await platform.subscribe(types=["callback.refused"])
    incident = await at_township(district)
    webhook_id = await calling.send({"incident_id": incident, "action": "accept", "sequence": 1})
    # the database says no in the middle of the move
    forbid = "ALTER TABLE history_entries ADD CONSTRAINT no CHECK (false) NOT VALID"
    async with district.resources.sessions.begin() as session:
        await session.execute(text(forbid))
    for failures in range(1, FAILURES):
        await calling.wait(minutes=1)
        told = await calling.told(webhook_id)
        assert (told["state"], told["attempts"]) == ("due", failures)
    await calling.wait(minutes=1)
    told = await calling.told(webhook_id)
    assert (told["state"], told["code"]) == ("refused", "internal-error")
    await platform.told()
    assert len(platform.receiver.of("callback.refused")) == 1


async def test_an_error_of_ours_that_passes_leaves_no_trace(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    webhook_id = await calling.send({"incident_id": incident, "action": "accept", "sequence": 1})
    async with district.resources.sessions.begin() as session:
        await session.execute(
            text("ALTER TABLE history_entries ADD CONSTRAINT no CHECK (false) NOT VALID")
        )
    await calling.pump.drain()
    async with district.resources.sessions.begin() as session:
        await session.execute(text("ALTER TABLE history_entries DROP CONSTRAINT no"))
    await calling.wait(minutes=1)
    assert (await calling.told(webhook_id))["state"] == "applied"


async def test_w16_only_the_platform_and_the_staff_above_it_may_look(district: District) -> None:
    calling = await Calling.of(district)
    webhook_id = await calling.send({"number": "1"})
    paths = (f"/v1/callbacks/{PLATFORM}/{webhook_id}", f"/v1/callbacks/{PLATFORM}")
    for path in paths:
        async with district.anonymous() as nobody:
            assert (await nobody.get(path)).status_code == 401
        for username, status in (
            ("admin", 200),
            ("desk-liuhu", 200),
            ("desk-kongtong", 200),
            ("desk-yonghong", 404),
            ("police-liuhu", 403),
            ("worker-yonghong", 403),
        ):
            answer = await (await district.client(username)).get(path)
            assert answer.status_code == status, (username, path)
        async with signed_in_platform(calling) as itself:
            assert (await itself.get(path)).status_code == 200
        async with signed_in_platform(await _another(district)) as other:
            answer = await other.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "platform-not-found")
    unknown = await (await district.client("admin")).get(f"/v1/callbacks/{PLATFORM}/msg_none")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "callback-not-found")


@pytest.mark.parametrize("username", ["desk-liuhu", "security", "worker-yonghong"])
async def test_w16_only_an_administrator_makes_the_secret(calling: Calling, username: str) -> None:
    client = await calling.district.client(username)
    answer = await client.post(f"/v1/platforms/{await calling.id()}/rotate-callback-secret")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_w16_the_secret_is_stored_sealed_and_shown_once(calling: Calling) -> None:
    async with calling.district.resources.sessions.read() as session:
        rows = await session.scalars(text("SELECT callback_secrets::text FROM callback_secrets"))
        stored = "\n".join(rows)
        noted = await session.scalars(text("SELECT facts::text FROM audit_entries"))
        said = "\n".join(noted)
    for secret in (calling.secret, calling.secret.removeprefix("whsec_")):
        assert secret not in stored
        assert secret not in said


async def _another(district: District, *, secret: bool = True) -> Calling:
    """A platform of the police post, new."""
    code = f"police-{new_id()}"
    admin = await district.client("admin")
    made = await admin.post(
        "/v1/platforms", json={"code": code, "name": "派出所平台", "unit": POLICE_LIUHU}
    )
    assert made.status_code == 201, made.text
    calling = Calling(district, CallbackPump(district.resources), code)
    if secret:
        await calling.rotate()
    return calling
