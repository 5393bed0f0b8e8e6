"""U23: the numbers by which a phone chooses its way, and each of the ways it can choose."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from app.core.resources import Resources
from app.core.settings import KIB, MIB, Settings, UploadSettings, WaySettings
from app.main import create_app
from tests.district import District, new_incident
from tests.incidents.listening import head
from tests.incidents.paths import WORKER, form, listed, look, signed_in
from tests.incidents.uploading import Phone, digest, picture_of
from tests.media.wire import CONTENT_TYPE, body_of, part

CHOICE = {
    "single_post_max_bytes": 256 * KIB,
    "single_post_floor_bytes": 64 * KIB,
    "single_post_ceiling_bytes": 2 * MIB,
    "single_post_seconds": 15,
    "text_first_json_bytes": 20 * KIB,
    "patch_bytes_slow": 256 * KIB,
    "patch_bytes_fast": MIB,
    "fast_from_bits_per_s": 1_000_000,
    "failed_posts_before_upload": 1,
    "open_uploads": 20,
}


async def _told(district: District) -> dict[str, Any]:
    client = await signed_in(district, WORKER)
    answer = await client.get("/v1/client-config")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_u23_the_phone_is_told_how_to_choose(shared_district: District) -> None:
    told = await _told(shared_district)
    assert told["uploads"] == CHOICE
    assert told["single_post_max_bytes"] == CHOICE["single_post_max_bytes"]


async def test_u23_what_is_told_is_what_is_set_and_what_is_demanded(
    shared_district: District,
) -> None:
    given = shared_district.resources
    changed = {
        "ways": WaySettings(single_post_max_bytes=100 * KIB, patch_bytes_slow=64 * KIB),
        "uploads": UploadSettings(open_per_device=3),
    }
    settings = given.settings.model_copy(update=changed)
    resources = Resources(settings, given.sessions, given.store, given.wakeups, given.clock)
    other = replace(shared_district, resources=resources, app=create_app(resources), _clients={})
    told = await _told(other)
    expected = {
        "single_post_max_bytes": 100 * KIB,
        "patch_bytes_slow": 64 * KIB,
        "open_uploads": 3,
    }
    assert told["uploads"] == CHOICE | expected
    client = await signed_in(other, WORKER)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "10"}
    statuses = [
        (await client.post("/v1/uploads", headers=headers)).status_code
        for _ in range(told["uploads"]["open_uploads"] + 1)
    ]
    assert statuses == [201, 201, 201, 429]


def test_u23_what_is_told_can_be_kept_to() -> None:
    """Whoever goes by these numbers is refused nowhere."""
    settings = Settings(_env_file=None)
    ways, intake = settings.ways, settings.intake
    assert ways.text_first_json_bytes <= min(intake.meta_bytes, intake.json_bytes)
    assert ways.single_post_ceiling_bytes + intake.meta_bytes <= intake.request_bytes
    assert ways.patch_bytes_fast <= settings.uploads.checksummed_bytes
    slowest = ways.single_post_floor_bytes / ways.single_post_seconds
    assert slowest >= intake.min_bytes_per_s


@pytest.mark.parametrize("wrong", [32 * KIB, 3 * MIB])
def test_u23_an_operator_can_not_tell_nonsense(wrong: int) -> None:
    with pytest.raises(ValidationError, match="between its floor and its ceiling"):
        WaySettings(single_post_max_bytes=wrong)


async def test_u23_small_media_go_with_the_text_in_one_body(phone: Phone) -> None:
    most = (await _told(phone.served.district))["single_post_max_bytes"]
    body = picture_of(most)
    file = listed(body)
    client = await signed_in(phone.served.district, WORKER)
    meta = new_incident(attachments=[file])
    answer = await client.post("/v1/incidents", files=form(meta, {file["id"]: body}))
    assert (answer.status_code, answer.json()["complete"]) == (201, True)


async def test_u23_after_one_failed_body_it_asks_then_sends_the_text_then_each_file(
    phone: Phone,
) -> None:
    district = phone.served.district
    told = (await _told(district))["uploads"]
    bodies = [picture_of(700_000, seed) for seed in (1, 2)]
    files = [listed(body) for body in bodies]
    meta = new_incident(attachments=files)
    await _post_cut_short(phone, meta, bodies)
    client = await signed_in(district, WORKER)
    receipt = await client.get(f"/v1/incidents/{meta['id']}/receipt")
    assert receipt.status_code == 404
    assert len(orjson.dumps(meta)) <= told["text_first_json_bytes"]
    taken = await client.post("/v1/incidents", json=meta)
    assert taken.status_code == 201
    missing = [item["id"] for item in taken.json()["attachments"] if item["state"] == "expected"]
    assert missing == [file["id"] for file in files]
    for file, body in zip(files, bodies, strict=True):
        url = await phone.created(
            len(body), incident_id=meta["id"], attachment_id=file["id"], sha256=digest(body)
        )
        for start in range(0, len(body), told["patch_bytes_slow"]):
            piece = body[start : start + told["patch_bytes_slow"]]
            assert (await phone.patch(url, start, piece)).status == 204
    assert (await look(district, WORKER, meta["id"]))["complete"]


async def _post_cut_short(phone: Phone, meta: dict[str, Any], bodies: list[bytes]) -> None:
    parts = [part('name="meta"', orjson.dumps(meta), "Content-Type: application/json")]
    parts += [
        part(f'name="{file["id"]}"; filename="a.png"', body)
        for file, body in zip(meta["attachments"], bodies, strict=True)
    ]
    whole = body_of(*parts)
    told = {"content_type": CONTENT_TYPE, "content_length": str(len(whole))}
    login = {"authorization": await phone.served.bearer()}
    async with phone.served.wire() as wire:
        await wire.send(head("POST /v1/incidents", **login, **told), whole[: len(whole) // 2])
        wire.hang_up()
