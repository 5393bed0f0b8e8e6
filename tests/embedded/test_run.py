import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.settings import Settings
from app.embedded import run as running
from app.embedded.ownership import EmbeddedError
from tests.embedded.conftest import REPOSITORY, Owners
from tests.embedded.probes import all_gone, children_in, connect, kept_rows, s3


def test_of_four_starters_one_wins_and_the_others_say_who(owners: Owners, home: Path) -> None:
    started = [owners.start("run", home) for _ in range(4)]
    deadline = time.monotonic() + 20
    while sum(o.process.poll() is not None for o in started) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    losers = [owner for owner in started if owner.process.poll() is not None]
    (winner,) = [owner for owner in started if owner.process.poll() is None]
    assert len(losers) == 3
    for loser in losers:
        status, output, errors = loser.finish()
        assert (status, output) == (1, "")
        assert f"already running as process {winner.process.pid}" in errors
        assert "已有实例在运行" in errors
        assert errors.count("\n") == 1
    facts = winner.facts()
    assert kept_rows(facts["database"]) == ["before"]
    assert facts["embedded"] is True
    assert facts["networks"] == ["127.0.0.0/8"]
    assert (home / "secret_key").read_text().strip() == facts["secret"]

    ready = [winner.read_line() for _ in range(5)]
    assert ready[0] == "ready http://127.0.0.1:8000\n"
    assert str(home) in ready[4]
    children = children_in(home)
    began = time.monotonic()
    winner.process.send_signal(signal.SIGTERM)
    status, output, errors = winner.finish()
    assert (status, output, errors) == (0, "", "")
    assert time.monotonic() - began < 10
    assert len(children) > 2
    assert all_gone(children, 0.5)


def test_a_killed_child_comes_back_at_the_same_address(owners: Owners, home: Path) -> None:
    owner = owners.start("run", home)
    facts = owner.facts()
    assert owner.read_line().startswith("ready ")
    client = s3(facts["store"], *facts["keys"])
    client.create_bucket(Bucket="media")
    client.put_object(Bucket="media", Key="photo", Body=b"photo")
    postmaster = int((home / "postgres/data/postmaster.pid").read_text().split("\n")[0])
    weed = int((home / "store/weed.pid").read_text())
    for pid in (postmaster, weed):
        os.kill(pid, signal.SIGKILL)
    assert owner.process.stderr is not None
    said = [owner.process.stderr.readline() for _ in range(2)]
    assert all("died, starting it again" in line for line in said), said
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert kept_rows(facts["database"]) == ["before"]
            assert client.get_object(Bucket="media", Key="photo")["Body"].read() == b"photo"
            break
        except Exception:  # noqa: BLE001 - down in many ways until both are up again
            time.sleep(0.1)
    else:
        pytest.fail("did not come back")
    owner.process.send_signal(signal.SIGINT)
    assert owner.finish()[0] == 0
    assert children_in(home) == []


def test_a_killed_owner_leaves_no_process_and_all_data(owners: Owners, home: Path) -> None:
    owner = owners.start("children", home)
    facts = owner.facts()
    with connect(facts["database"]) as connection:
        connection.execute("INSERT INTO kept VALUES ('just before')")
    client = s3(facts["store"], *facts["keys"])
    client.create_bucket(Bucket="media")
    client.put_object(Bucket="media", Key="photo", Body=b"photo")
    children = children_in(home)
    assert set(facts["pids"]) < set(children)
    owner.process.kill()
    assert all_gone(children, 5.0)

    second = owners.start("children", home)
    again = second.facts()
    assert_kept(again)
    assert (again["store"], again["keys"]) == (facts["store"], facts["keys"])

    os.kill(again["pids"][1], signal.SIGSTOP)  # it cannot follow its owner
    second.process.kill()
    assert_kept(owners.start("children", home).facts())
    assert all_gone(again["pids"], 0.5)


def assert_kept(facts: dict[str, Any]) -> None:
    assert kept_rows(facts["database"]) == ["before", "just before"]
    client = s3(facts["store"], *facts["keys"])
    assert client.get_object(Bucket="media", Key="photo")["Body"].read() == b"photo"


def test_what_is_given_is_not_started(owners: Owners, tmp_path: Path) -> None:
    owner = owners.start("run-given", tmp_path / "home")
    facts = owner.facts()
    assert facts["database"] == "postgresql+psycopg://somewhere/else"
    assert facts["store"] == "http://somewhere.else"
    assert owner.read_line().startswith("ready ")
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"lock", "secret_key"}
    owner.process.terminate()
    assert owner.finish()[0] == 0


def test_a_server_that_ends_by_itself_is_a_failure(owners: Owners, tmp_path: Path) -> None:
    status, _, errors = owners.start("run-short", tmp_path / "home").finish()
    assert status == 1
    assert "ended by itself" in errors


async def test_a_taken_port_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def never(*_: object) -> None:
        pytest.fail("must not be reached")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(_env_file=None, home=tmp_path / "home", port=port)
        assert await running.run(settings, never, never) == 1
    assert "choose another ETONG_PORT" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["lock"]


async def test_a_child_that_keeps_dying_is_given_up() -> None:
    starts: list[float] = []
    child = SimpleNamespace(
        name="database", alive=False, start=lambda: starts.append(0), stop=lambda: None
    )
    kept = running.Kept(child)
    with pytest.raises(EmbeddedError, match="giving up"):
        await asyncio.wait_for(_revive_for_ever(kept), 5)
    assert len(starts) == running.RESTARTS
    await kept.stop()


async def _revive_for_ever(kept: running.Kept) -> None:
    while True:
        await kept.revive()


def _python_of(user: int) -> str:
    """An interpreter this account can run with our packages; ours may lie in a private home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = os.pathsep.join([str(REPOSITORY), *(p for p in sys.path if "site-packages" in p)])
    for python in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin") or ""):
        try:
            done = subprocess.run(
                [python, "-c", "import app.embedded.run"],
                user=user,
                group=pwd.getpwuid(user).pw_gid,
                extra_groups=[],
                cwd="/",
                env={"PATH": os.defpath, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip("no interpreter that an ordinary account could run with our packages")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_an_ordinary_account_keeps_its_own_children(owners: Owners, public_folder: Path) -> None:
    user = pwd.getpwnam("daemon").pw_uid
    python = _python_of(user)
    home = public_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, user, pwd.getpwuid(user).pw_gid)
    owner = owners.start_as(user, python, "run", home)
    facts = owner.facts()
    assert owner.read_line().startswith("ready ")
    with connect(facts["database"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    children = children_in(home)
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in children} == {user}
    owner.process.terminate()
    assert owner.finish()[0] == 0
    assert all_gone(children, 0.5)
    assert json.loads((home / "store" / "s3.json").read_text())["identities"]
