"""Generated requests pointed at things that exist: random ids find only 404, however many."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID
from zlib import crc32

import requests
from schemathesis import Case

from tests.contract.live import AUDITOR, Live
from tests.district import LIUHU, PASSWORD, POLICE_LIUHU, YONGHONG, YONGHONG_GRID
from tests.guardrails.story import PICTURE

Json = dict[str, Any]
Sent = Case[Any]

REAL: Json = {
    "category": "0201",
    "grid_code": YONGHONG_GRID,
    "place": {"grid_code": YONGHONG_GRID},
    "reported_for": None,
    "self_handled": None,
    "unit": LIUHU,
}
"""Field of a body → what means something in the reference district."""
REAL_OF: dict[str, Json] = {
    "change_office_hours": {"sessions": [["09:00", "12:00"]]},
    "create_unit": {
        "level": "village",
        "kind": "department",
        "area_code": YONGHONG,
        "parent": LIUHU,
    },
    "change_webhook_endpoint": {"url": "https://1.1.1.1/other", "area_codes": [LIUHU]},
    "create_webhook_endpoint": {"url": "https://1.1.1.1/hook", "area_codes": [LIUHU]},
    "import_calendar": {"csv": "day,kind,name\n2026-05-01,holiday,劳动节\n"},
    "import_people_list": {"csv": "username,name,phone,roles,grids\n"},
    "issue_token": {"grant_type": "password", "username": AUDITOR, "password": PASSWORD},
    "move_incident": {"to_unit": POLICE_LIUHU},
}
"""The same, of one operation."""
LONGEST_WAIT = 30
SIGNED = ("expires", "signature")
BELOW_THE_OBJECT = ("/transitions", "/external-codes")
"""What comes after the object whose revision a command names."""


def name_of(case: Sent) -> str:
    return str(case.operation.definition.raw["operationId"])


def aim(case: Sent, live: Live, username: str) -> None:
    """Point three cases of four at real things; the fourth stays as it was generated."""
    sent = (case.path_parameters, case.query, dict(case.headers), case.body)
    lot = crc32(repr(sent).encode())
    _do_not_wait(case)
    if lot % 4 == 0:
        return
    if lot % 16 != 1:
        # one word for every key and cursor: the rest of the request would hardly ever be read
        case.headers.pop("Idempotency-Key", None)
        case.query.pop("cursor", None)
    _name_objects(case, live, username, lot)
    real = REAL | REAL_OF.get(name_of(case), {}) | live.known["people"][0]
    case.body = _meant(case.body, real, lot)
    _bring_the_files(case)
    _say_the_revision(case, live, username)


def _do_not_wait(case: Sent) -> None:
    """A long poll of 30 s is a correct answer, and too slow a one to ask for."""
    wait = str(case.query.get("wait", ""))
    if wait.isdigit() and int(wait) <= LONGEST_WAIT:
        case.query["wait"] = "0"


def _name_objects(case: Sent, live: Live, username: str, lot: int) -> None:
    names = case.path_parameters
    objects = live.known.get(case.path.split("/")[2], [])
    if "session_id" in names:
        objects = [live.spare_session(username)]
    if name_of(case) == "delete_webhook_endpoint":
        objects = [live.spare_endpoint()]
    if names and objects:
        chosen = objects[lot % len(objects)]
        names.update({name: chosen[name] for name in names if name in chosen})
        case.query.update({name: chosen[name] for name in SIGNED if name in chosen})


def _meant(value: Any, real: Mapping[str, Any], lot: int) -> Any:
    if isinstance(value, list):
        return [_meant(each, real, lot) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: real[name] if name in real else _meant(_new_id(name, each, lot), real, lot)
        for name, each in value.items()
    }


def _new_id(name: str, value: Any, lot: int) -> Any:
    """What a terminal calls something new: another word each time, of a version that is taken."""
    if name != "id" or not isinstance(value, str):
        return value
    try:
        return str(UUID(int=UUID(value).int ^ lot, version=4))
    except ValueError:
        return value


def _bring_the_files(case: Sent) -> None:
    """The bytes of a file; one part a file after the meta that lists them."""
    if case.media_type == "application/octet-stream":
        case.body = PICTURE
    meta: Any = case.body.get("meta") if isinstance(case.body, dict) else None
    files = meta.get("attachments", []) if isinstance(meta, dict) else None
    if not isinstance(files, list):
        return
    listed = [each.get("id") for each in files if isinstance(each, dict)]
    ids = [each for each in listed if isinstance(each, str)]
    meta["attachments"] = [{"id": each, "kind": "photo"} for each in ids]
    case.body = {"meta": meta} | dict.fromkeys(ids, PICTURE)


def _say_the_revision(case: Sent, live: Live, username: str) -> None:
    """The newest: the revision of a command, and the tag of a condition."""
    parameters = case.operation.definition.raw.get("parameters", [])
    conditions = {each["name"].lower() for each in parameters} & {"if-match", "if-none-match"}
    if not conditions:
        return
    path = case.path.format_map(case.path_parameters)
    for ending in BELOW_THE_OBJECT:
        path = path.removesuffix(ending)
    shown = live.session.get(live.url + path, headers=live.headers(username))
    if shown.status_code == requests.codes.ok:
        case.headers.update(dict.fromkeys(conditions, shown.headers.get("ETag", '"1"')))
        if isinstance(case.body, dict) and "action" in case.body:
            case.body["revision"] = shown.json()["revision"]
