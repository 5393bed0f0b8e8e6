"""Who may export what of a matter, and that every export is noted."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from app.cli import main
from app.core.audit import AuditEntry
from app.proving import evidence as operators
from tests.district import SECRET, District
from tests.evidence.conftest import Proven, export, night
from tests.evidence.test_verify import verify
from tests.incidents.paths import (
    ACCEPT,
    DISPATCH,
    OUTSIDER,
    POLICE,
    SEALED,
    SIGN,
    TOWNSHIP,
    UP,
    WORKER,
    person_id,
    signed_in,
    walk,
)


@pytest.mark.parametrize("who", [OUTSIDER, "auditor", "admin", "security"])
async def test_who_does_not_see_the_matter_gets_nothing(proven: Proven, who: str) -> None:
    client = await signed_in(proven.district, who)
    answer = await client.get(f"/v1/incidents/{proven.incident}/evidence")
    assert answer.status_code == (404 if who == OUTSIDER else 403)
    assert "hash" not in answer.text


async def test_a_sealed_tip_has_no_evidence_outside(proven: Proven) -> None:
    tip = await proven.district.report(**SEALED)
    for who in (TOWNSHIP, "supervisor-kongtong", POLICE):
        client = await signed_in(proven.district, who)
        answer = await client.get(f"/v1/incidents/{tip['id']}/evidence")
        assert answer.status_code == 404, who


async def test_a_handler_of_a_tip_proves_it_without_learning_who_reported(
    proven: Proven, tmp_path: Any
) -> None:
    district = proven.district
    tip = (await district.report(**SEALED))["id"]
    await walk(district, tip, UP, ACCEPT, DISPATCH, (WORKER, "comment", {"text": "补充"}), SIGN)
    await night(district)
    seen = await export(district, POLICE, tip)
    withheld = [entry for entry in seen["entries"] if entry["hashed"] is None]
    assert [entry["seq"] for entry in withheld] == [1, 6]
    # neither salt nor digest of the words: whoever tries all names finds none that fits
    assert all(entry["texts"] is None for entry in withheld)
    assert str(await person_id(district, WORKER)) not in json.dumps(seen)
    status, said = verify(tmp_path, seen)
    assert (status, "2 withheld" in said) == (0, True), said
    everything = await export(district, WORKER, tip)
    assert all(entry["hashed"] for entry in everything["entries"])
    assert [e["hash"] for e in everything["entries"]] == [e["hash"] for e in seen["entries"]]
    assert verify(tmp_path, everything)[0] == 0


async def test_before_the_first_night_the_chain_stands_alone(
    district: District, tmp_path: Any
) -> None:
    receipt = await district.report()
    seen = await export(district, WORKER, receipt["id"])
    assert (seen["proof"], seen["anchors"], len(seen["entries"])) == (None, [], 2)
    status, said = verify(tmp_path, seen)
    assert (status, "anchored to 0" in said) == (0, True), said


async def test_every_export_is_noted_in_the_audit_trail(proven: Proven) -> None:
    await export(proven.district, TOWNSHIP, proven.incident)
    who = await person_id(proven.district, TOWNSHIP)
    async with proven.district.resources.sessions.read() as session:
        (noted,) = await session.scalars(
            select(AuditEntry).where(
                AuditEntry.action == "evidence.exported", AuditEntry.actor_id == who
            )
        )
    assert (noted.object_kind, noted.object_id) == ("incident", proven.incident)
    assert noted.facts == {"seq": len(proven.evidence["entries"])}


async def test_the_operator_writes_the_same(proven: Proven, tmp_path: Any) -> None:
    written = await operators(proven.district.resources.settings, proven.number)
    assert written is not None
    same = json.loads(written.model_dump_json())
    shown = await export(proven.district, WORKER, proven.incident)
    assert same | {"exported_at": ""} == shown | {"exported_at": ""}
    assert verify(tmp_path, same)[0] == 0


async def test_the_operator_reads_no_words_of_a_tip(proven: Proven, tmp_path: Any) -> None:
    district = proven.district
    tip = await district.report(**SEALED)
    await walk(district, tip["id"], UP)
    await night(district)
    written = await operators(district.resources.settings, tip["number"])
    assert written is not None
    seen = json.loads(written.model_dump_json())
    assert [entry["hashed"] is None for entry in seen["entries"]] == [True, False, False]
    assert all(entry["texts"] is None for entry in seen["entries"])
    assert SEALED["text"] not in json.dumps(seen, ensure_ascii=False)
    assert verify(tmp_path, seen)[0] == 0


def _given(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ETONG_DATABASE__URL", url)
    monkeypatch.setenv("ETONG_STORE__ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ETONG_SECRET_KEY", SECRET)


def test_the_command_says_what_it_can_not_write(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setenv("ETONG_HOME", str(tmp_path))
    assert main(["incident", "evidence", "620802105-20260311-0001"]) == 1
    assert "没有内置服务" in capsys.readouterr().err
    _given(monkeypatch, "postgresql+psycopg://nobody@127.0.0.1:1/x")
    assert main(["incident", "evidence", "620802105-20260311-0001"]) == 1
    assert "数据库无法访问" in capsys.readouterr().err


def test_the_commands_write_tell_and_refuse_an_unknown_number(
    proven: Proven,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Any,
) -> None:
    url = proven.district.resources.settings.database.url.get_secret_value()
    _given(monkeypatch, url)
    path = tmp_path / "evidence.json"
    assert main(["incident", "evidence", proven.number, "--to", str(path)]) == 0
    assert verify(tmp_path, json.loads(path.read_text("utf-8")))[0] == 0
    assert main(["incident", "evidence", proven.number]) == 0
    assert json.loads(capsys.readouterr().out)["number"] == proven.number
    assert main(["incident", "evidence", "620802105-20260311-9999"]) == 1
    assert "没有该事件编号" in capsys.readouterr().err
    assert main(["incident", "show", proven.number]) == 0
    assert capsys.readouterr().out.startswith(f"事件 {proven.number}")
    assert main(["incident", "show", "620802105-20260311-9999"]) == 1
    assert "没有这个事件" in capsys.readouterr().err
