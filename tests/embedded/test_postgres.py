import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.ownership import AlreadyRunning, EmbeddedError
from app.embedded.postgres import EmbeddedPostgres
from tests.embedded.conftest import copy_home
from tests.embedded.probes import all_gone, children_in, connect, kept_rows


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(scope="module")
def shared_home(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_home(template, tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def running(shared_home: Path) -> Iterator[EmbeddedPostgres]:
    """One server for the questions that change nothing."""
    database = EmbeddedPostgres(shared_home)
    database.start()
    yield database
    database.stop()


def test_a_second_starter_is_refused_and_disturbs_nothing(
    running: EmbeddedPostgres, shared_home: Path
) -> None:
    with pytest.raises(AlreadyRunning, match=str(os.getpid())) as refusal:
        EmbeddedPostgres(shared_home).start()
    assert refusal.value.pid == os.getpid()
    assert "已有实例在运行" in str(refusal.value)
    assert kept_rows(running.url) == ["before"]


def test_a_wrong_password_is_refused(running: EmbeddedPostgres) -> None:
    password = running.url.split(":")[2].split("@")[0]
    with pytest.raises(Exception, match="password authentication failed"):
        connect(running.url.replace(password, "wrong"))


def test_data_with_a_lost_password_say_so(home: Path) -> None:
    (home / "postgres" / "password").write_text("another\n")
    with pytest.raises(EmbeddedError, match="password authentication failed"):
        EmbeddedPostgres(home).start()
    assert children_in(home) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="cannot make"):
        EmbeddedPostgres(tmp_path / "file" / "home").start()


def test_r1_settings_keep_receipts_through_power_loss(running: EmbeddedPostgres) -> None:
    on = ("fsync", "synchronous_commit", "full_page_writes")
    with connect(running.url) as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in on]
        locale = connection.execute(
            "SELECT datlocprovider::text, datlocale FROM pg_database WHERE datname = 'etong'"
        ).fetchone()
        lowered = connection.execute("SELECT lower('ÄÖ')").fetchone()
    assert shown == [("on",)] * 3
    assert locale == ("b", "C.UTF-8")
    assert lowered == ("äö",)


def test_nobody_else_can_read_its_folder(running: EmbeddedPostgres, shared_home: Path) -> None:
    assert running.alive
    folder = shared_home / "postgres"
    assert [mode(path) for path in (shared_home, folder, folder / "data")] == [0o700] * 3
    assert mode(folder / "password") == 0o600


def test_stop_leaves_no_process(home: Path) -> None:
    database = EmbeddedPostgres(home)
    database.start()
    with connect(database.url) as connection:
        connection.execute("SELECT 1")  # an open connection must not hold it up
        before = children_in(home)
        database.stop()
    assert len(before) > 1
    assert all_gone(before, 1.0)
    database.stop()  # once more changes nothing


def test_a_killed_server_starts_again_where_it_was(postgres: EmbeddedPostgres) -> None:
    url, pid = postgres.url, postgres.pid
    with connect(url) as connection:
        connection.execute("INSERT INTO kept VALUES ('just before')")
        os.kill(pid, signal.SIGKILL)
        assert all_gone([pid], 2.0)
        assert not postgres.alive
        postgres.start()
    assert postgres.url == url
    assert postgres.pid != pid
    assert kept_rows(url) == ["before", "just before"]


def test_a_note_with_a_strangers_number_is_not_believed(home: Path) -> None:
    note = home / "postgres" / "data" / "postmaster.pid"
    note.write_text(f"{os.getppid()}\n")
    database = EmbeddedPostgres(home)
    database.start()
    assert kept_rows(database.url) == ["before"]
    database.stop()


def test_a_taken_port_is_left_for_another(home: Path, running: EmbeddedPostgres) -> None:
    port = running.url.split(":")[-1].split("/")[0]
    (home / "postgres" / "port").write_text(port)
    database = EmbeddedPostgres(home)
    database.start()
    assert f":{port}/" not in database.url
    assert kept_rows(database.url) == kept_rows(running.url)
    database.stop()


def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    draft = tmp_path / "postgres" / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    database = EmbeddedPostgres(tmp_path)
    started = time.monotonic()
    database.start()
    assert time.monotonic() - started < 20
    with connect(database.url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("etong",)
    database.stop()
    assert not draft.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
def test_root_hands_data_over_without_opening_any_parent(home: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    deep = locked / ("long-" * 30)
    deep.mkdir(mode=0o700)
    moved = home.rename(deep / "home")  # a path no socket could have
    assert len(str(moved)) > 107
    database = EmbeddedPostgres(moved)
    database.start()
    assert Path(f"/proc/{database.pid}").stat().st_uid != 0
    assert (moved / "postgres" / "data").stat().st_uid != 0
    assert kept_rows(database.url) == ["before"]
    database.stop()
    for folder in (locked, deep, moved, moved / "postgres"):
        assert (mode(folder), folder.stat().st_uid) == (0o700, 0)
