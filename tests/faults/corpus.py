"""Bad media that nobody here wrote: the pictures of Pillow's own tests, in its source package.

Fuzzers and bug reports of many years. Only pip fetches them, once: `ETONG_TEST_CORPUS` names where
they are kept (else a folder of the system's for temporary files).
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import __version__ as pillow


class CorpusMissing(Exception):  # noqa: N818 - names the fact
    """pip could not bring it; its last word is the text."""


def pillows_pictures() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each. Raises CorpusMissing."""
    with tarfile.open(_package()) as package:
        for member in package:
            if member.isfile() and "/Tests/images/" in member.name:
                content = package.extractfile(member)
                if content is not None:
                    yield member.name.partition("/Tests/images/")[2], content.read()


def _package() -> Path:
    default = Path(tempfile.gettempdir()) / "etong-corpus"
    folder = Path(os.environ.get("ETONG_TEST_CORPUS", default))
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / f"pillow-{pillow}.tar.gz"
    if not found.is_file():
        fetched = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--no-binary", "pillow"),
                *("--dest", str(folder), f"pillow=={pillow}"),
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if not found.is_file():
            raise CorpusMissing(fetched.stderr.strip().splitlines()[-1:] or "nothing was fetched")
    return found
