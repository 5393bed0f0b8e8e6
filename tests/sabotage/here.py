"""A plugin of pytest: refuses to go on where another tree than this one would be tested."""

from pathlib import Path

import pytest

import app


def pytest_configure(config: pytest.Config) -> None:
    here = Path(str(app.__file__)).resolve().parents[1]
    if here != config.rootpath.resolve():
        raise pytest.UsageError(f"app is imported from {here}, not from {config.rootpath}")
