"""W1: what the library from npm says of our signatures."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from app.webhooks.signing import new_secret, signed_headers
from tests.npm import installed_node

NODE = Path(__file__).parent / "node"
SECRET, NEWER = new_secret(), new_secret()
BODIES = ("{}", '{"type":"incident.reported","data":{"text":"楼道堆放杂物，堵塞消防通道 🚒"}}')


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked library, in a folder of the test's own."""
    return installed_node(NODE, tmp_path_factory.mktemp("node"), "verify.mjs")


def _said(folder: Path, calls: list[tuple[str, dict[str, str], str]]) -> list[str]:
    lines = b"\n".join(
        orjson.dumps({"secret": secret, "headers": headers, "body": body})
        for secret, headers, body in calls
    )
    done = subprocess.run(
        ["node", "verify.mjs"], cwd=folder, input=lines, capture_output=True, check=True, timeout=60
    )
    return [line.split()[0] for line in done.stdout.decode().splitlines()]


def test_w1_the_library_from_npm_accepts_what_we_sign_and_nothing_else(installed: Path) -> None:
    now = datetime.now(UTC)
    good, wrong = [], []
    for body in BODIES:
        both = signed_headers([NEWER, SECRET], "m1", now, body.encode())
        good += [(NEWER, both, body), (SECRET, both, body)]
        old = signed_headers([SECRET], "m1", now - timedelta(minutes=6), body.encode())
        wrong += [
            (new_secret(), both, body),
            (SECRET, both, body + " "),
            (SECRET, {**both, "webhook-id": "m2"}, body),
            (SECRET, old, body),
        ]
    assert set(_said(installed, good)) == {"accepted"}
    assert set(_said(installed, wrong)) == {"refused"}
    assert len(_said(installed, good + wrong)) == len(good + wrong)
