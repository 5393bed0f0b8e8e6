"""docs/evidence/verify.py, run as anybody would, against what the server really exports."""

import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.evidence.conftest import Proven, closed_matter, export, night
from tests.guardrails.conftest import ROOT
from tests.incidents.paths import WORKER

SCRIPT = ROOT / "docs" / "evidence" / "verify.py"
Json = dict[str, Any]


def verify(folder: Path, evidence: Json, *copies: bytes) -> tuple[int, str]:
    """Exit status and output. Isolated: nothing but the standard library can be imported."""
    (folder / "evidence.json").write_text(json.dumps(evidence), encoding="utf-8")
    paths = [folder / "evidence.json"]
    for number, copy in enumerate(copies):
        paths.append(folder / f"copy-{number}.json")
        paths[-1].write_bytes(copy)
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, *paths], check=False, capture_output=True, timeout=60
    )
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


def test_the_script_is_short_and_needs_nothing() -> None:
    lines = SCRIPT.read_text("utf-8").splitlines()
    assert len(lines) < 100
    imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
    assert imported == {"hashlib", "json", "sys", "pathlib"}


def test_what_the_server_exports_verifies(proven: Proven, tmp_path: Path) -> None:
    copies = [
        each.body for each in proven.district.store.objects.values() if b"hashed" in each.body
    ]
    status, said = verify(tmp_path, proven.evidence, *copies)
    assert status == 0, said
    assert said.startswith("everything holds")
    entries = len(proven.evidence["entries"])
    assert f"{entries} entries: 0 withheld, 0 erased, anchored to {entries - 1}" in said
    (anchor,) = proven.evidence["anchors"]
    assert f"{anchor['copy_key']} {anchor['digest']}" in said


def _facts(**changes: Any) -> Callable[[Json], None]:
    """Entry 3 with other facts, and a hash of its own over them."""

    def change(evidence: Json) -> None:
        entry = evidence["entries"][2]
        facts = json.loads(entry["hashed"]) | changes
        entry["hashed"] = json.dumps(
            facts, sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        entry["hash"] = sha256(entry["hashed"].encode()).hexdigest()

    return change


def _set(*way: Any, to: Any) -> Callable[[Json], None]:
    def change(evidence: Json) -> None:
        place: Any = evidence
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = to(place[way[-1]]) if callable(to) else to

    return change


def _byte(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


def _swap(evidence: Json) -> None:
    entries = evidence["entries"]
    entries[2], entries[3] = entries[3], entries[2]


def _rewrite_from_the_third(evidence: Json) -> None:
    """The whole chain made anew after a lie: only the anchor tells."""
    _facts(actor_name="somebody else")(evidence)
    previous = evidence["entries"][2]["hash"]
    for entry in evidence["entries"][3:]:
        facts = json.loads(entry["hashed"]) | {"previous_hash": previous}
        entry["hashed"] = json.dumps(
            facts, sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        entry["previous_hash"] = previous
        previous = entry["hash"] = sha256(entry["hashed"].encode()).hexdigest()


FORGERIES: dict[str, tuple[Callable[[Json], None], str]] = {
    "a byte of the facts": (
        _set("entries", 2, "hashed", to=lambda t: t.replace('"at":1', '"at":2')),
        "entry 3 is not what was hashed",
    ),
    "a byte of a hash": (_set("entries", 2, "hash", to=_byte), "entry 3 is not what was hashed"),
    "facts hashed anew": (_facts(to_state="closed"), "entry 4 does not follow"),
    "all hashed anew": (_rewrite_from_the_third, "is not what was anchored"),
    "a byte of a text": (
        _set("entries", 0, "texts", "text", to=lambda t: t + "。"),
        "entry 1 has other words than were hashed",
    ),
    "a byte of a salt": (
        _set("entries", 0, "texts", "salt", to=_byte),
        "entry 1 has other words than were hashed",
    ),
    "an entry missing": (_set("entries", to=lambda e: e[:2] + e[3:]), "entry 3 does not follow"),
    "the first entry missing": (_set("entries", to=lambda e: e[1:]), "entry 1 does not follow"),
    "the anchored end missing": (_set("entries", to=lambda e: e[:-2]), "is not what was anchored"),
    "two entries swapped": (_swap, "entry 3 does not follow"),
    "facts withheld, words not": (
        _set("entries", 0, "hashed", to=None),
        "entry 1 has words but no facts",
    ),
    "another matter's": (_set("incident_id", to=_byte), "entry 1 is not what was hashed"),
    "another file": (_set("files", 0, "sha256", to=_byte), "is not what was anchored"),
    "another place in the tree": (_set("proof", "place", to=lambda p: p ^ 1), "what was anchored"),
    "a step of the path": (_set("proof", "path", 0, to=_byte), "is not what was anchored"),
    "a path cut short": (_set("proof", "path", to=lambda p: p[:-1]), "is not what was anchored"),
    "a path too long": (_set("proof", "path", to=lambda p: [*p, p[0]]), "what was anchored"),
    "a place beyond the tree": (_set("proof", "place", to=10**6), "is not what was anchored"),
    "another anchor": (_set("anchors", 0, "digest", to=_byte), "anchor 1 is not what was hashed"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_was_forged_is_named(proven: Proven, tmp_path: Path, forgery: str) -> None:
    forge, named = FORGERIES[forgery]
    forged = deepcopy(proven.evidence)
    forge(forged)
    assert forged != proven.evidence
    status, said = verify(tmp_path, forged)
    assert (status, named in said) == (1, True), said


def test_without_its_anchor_a_proof_proves_nothing(proven: Proven, tmp_path: Path) -> None:
    status, said = verify(tmp_path, proven.evidence | {"anchors": []})
    assert status == 1
    assert "is not what was anchored" in said


def test_an_anchor_made_up_is_in_none_of_the_copies(proven: Proven, tmp_path: Path) -> None:
    copy = json.dumps({"digest": "0" * 64, "hashed": ""}).encode()
    status, said = verify(tmp_path, proven.evidence, copy)
    assert status == 1
    assert "anchor 1 is in none of the copies given" in said


async def test_an_erased_text_leaves_everything_verified(proven: Proven, tmp_path: Path) -> None:
    district = proven.district
    matter = (await closed_matter(district))["id"]
    await night(district)
    before = await export(district, WORKER, matter)
    async with district.resources.sessions.begin() as session:
        await session.execute(
            text("UPDATE history_entries SET reason = NULL, text = NULL WHERE incident_id = :id"),
            {"id": matter},
        )
    after = await export(district, WORKER, matter)
    status, said = verify(tmp_path, after)
    assert status == 0, said
    spoken = [e["seq"] for e in before["entries"] if e["texts"]["text"] or e["texts"]["reason"]]
    assert len(spoken) >= 3
    assert [entry["seq"] for entry in after["entries"] if entry["erased"]] == spoken
    assert f"{len(spoken)} erased" in said
    # what can be guessed is not given away by its salt
    assert all(entry["texts"] is None for entry in after["entries"] if entry["erased"])
    assert [e["hash"] for e in after["entries"]] == [e["hash"] for e in before["entries"]]
