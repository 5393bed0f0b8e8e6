"""I4: what makes two reports the same content."""

import random
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.core.db import new_id
from app.incidents.fingerprints import fingerprint
from app.incidents.schemas import NewIncident
from tests.district import YONGHONG_GRID, new_incident

FILES = [
    {
        "id": str(new_id()),
        "kind": kind,
        "name": f"{kind}.bin",
        "size": 100 + place,
        "sha256": f"{place}" * 64,
        "captured_at": f"2026-03-11T0{place}:00:00Z",
    }
    for place, kind in enumerate(["photo", "video", "audio"])
]
META = new_incident(
    place={
        "lon": 106.68, "lat": 35.54, "datum": "gcj02", "accuracy_m": 12,
        "fixed_at": "2026-03-11T03:59:00Z", "address": "永红村一组", "grid_code": None,
    },
    occurred_at="2026-03-11T03:50:00Z",
    raiser={"name": "李四", "phone": "13800000000", "informed_at": None},
    parties=[{"role": "一方", "name": "王五", "phone": None}],
    attachments=FILES,
    self_handled={"outcome": "已劝离", "attachments": [FILES[0]["id"]]},
)  # fmt: skip

CHANGES: list[tuple[tuple[str | int, ...], Any]] = [
    (("category",), "0202"),
    (("urgency",), "urgent"),
    (("text",), "楼道堆放杂物，堵塞消防通道。"),
    (("place",), {"grid_code": YONGHONG_GRID}),
    (("place", "lon"), 106.680001),
    (("place", "lat"), 35.540001),
    (("place", "datum"), "wgs84"),
    (("place", "accuracy_m"), 13),
    (("place", "address"), "永红村二组"),
    (("place", "grid_code"), YONGHONG_GRID),
    (("occurred_at",), "2026-03-11T03:51:00Z"),
    (("source",), "resident"),
    (("reported_for",), str(new_id())),
    (("raiser", "phone"), "13800000001"),
    (("raiser",), None),
    (("parties", 0, "name"), "赵六"),
    (("parties",), []),
    (("appointment_at",), "2026-03-12T01:00:00Z"),
    (("attachments", 0, "size"), 99),
    (("attachments", 0, "sha256"), "f" * 64),
    (("attachments", 1, "kind"), "photo"),
    (("attachments", 2, "captured_at"), None),
    (("attachments", 2, "id"), str(new_id())),
    (("attachments",), FILES[:2]),
    (("self_handled", "outcome"), "已清理"),
    (("self_handled",), None),
]


def of(meta: dict[str, Any]) -> bytes:
    return fingerprint(NewIncident.model_validate_json(orjson.dumps(meta)))


def changed(meta: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = orjson.loads(orjson.dumps(meta))
    inner: Any = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return copy


def shuffled(value: Any, source: random.Random) -> Any:
    """The same JSON with its keys in another order."""
    if isinstance(value, dict):
        keys = list(value)
        source.shuffle(keys)
        return {key: shuffled(value[key], source) for key in keys}
    return [shuffled(item, source) for item in value] if isinstance(value, list) else value


@given(st.sets(st.sampled_from(range(len(CHANGES))), min_size=1, max_size=1))
def test_i4_any_change_of_content_changes_the_fingerprint(chosen: set[int]) -> None:
    path, value = CHANGES[chosen.pop()]
    assert of(changed(META, path, value)) != of(META)


def test_i4_every_listed_change_is_told_apart_from_every_other() -> None:
    prints = [of(META), *(of(changed(META, path, value)) for path, value in CHANGES)]
    assert len(set(prints)) == len(prints)


@given(
    source=st.randoms(use_true_random=False),
    order=st.permutations(FILES),
    names=st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40
        ).filter(str.strip),
        min_size=3,
        max_size=3,
    ),
)
def test_i4_key_order_file_names_and_file_order_do_not_matter(
    source: random.Random, order: list[dict[str, Any]], names: list[str]
) -> None:
    files = [{**file, "name": name} for file, name in zip(order, names, strict=True)]
    assert of(shuffled({**META, "attachments": files}, source)) == of(META)


def test_i4_what_is_left_out_counts_as_its_default() -> None:
    sparse = new_incident(id=META["id"])
    full = {**sparse, "urgency": "routine", "source": "patrol", "parties": [], "raiser": None}
    assert of(sparse) == of(full)
