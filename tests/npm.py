"""Locked packages of npm, for clients that nobody here wrote."""

import shutil
import subprocess
from pathlib import Path

import pytest


def installed_node(source: Path, folder: Path, *names: str) -> Path:
    """The locked package, in a folder of the test's own; skips where it can't be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    for name in ("package.json", "package-lock.json", ".npmrc", *names):
        shutil.copy(source / name, folder)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"npm can't install here: {done.stderr[-200:]}")
    return folder
