"""The shipped nginx configuration in front of servers of the test's own."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.embedded.keepsakes import choose_ports, is_free
from tests.faults.servers import Server

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"
_STARTED_S = 10.0

needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="nginx is not installed: apt-get install nginx"
)


@asynccontextmanager
async def proxied(servers: Sequence[Server], folder: Path) -> AsyncIterator[str]:
    """Its address; only names of the machine are changed: ports, upstreams, folders."""
    (port,) = choose_ports(1, is_free)
    configuration = folder / "nginx.conf"
    configuration.write_text(_adapted(SHIPPED.read_text("utf-8"), servers, port, folder), "utf-8")
    with (folder / "nginx.log").open("wb") as said:
        nginx = await asyncio.create_subprocess_exec(
            "nginx", "-p", str(folder), "-c", str(configuration), "-g", "daemon off;",
            stderr=said,
        )  # fmt: skip
    try:
        await _listens(port, nginx)
        yield f"http://127.0.0.1:{port}"
    finally:
        nginx.terminate()
        await nginx.wait()


def _adapted(shipped: str, servers: Sequence[Server], port: int, folder: Path) -> str:
    upstreams = "\n".join(f"        server 127.0.0.1:{each.port} max_fails=0;" for each in servers)
    adapted, changed = re.subn(r"        server api:8000 max_fails=0;[^\n]*", upstreams, shipped)
    assert changed == 1
    # whoever may bind no other port tests with the same worker it starts with
    return (
        adapted.replace("listen 8080;", f"listen 127.0.0.1:{port};")
        .replace("/tmp/", f"{folder}/")  # noqa: S108 - what the shipped file names
        .replace("worker_processes auto;", "worker_processes 1;")
    )


async def _listens(port: int, nginx: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_STARTED_S):
        while True:
            assert nginx.returncode is None, "nginx did not start"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
