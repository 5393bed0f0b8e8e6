"""F4, U9, U10, U21: uploads over two processes behind nginx, by clients that nobody here wrote."""

import asyncio
import gc
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient.client import TusClient

from app.core.db import new_id
from tests.district import new_incident
from tests.faults.proxied import needs_nginx, proxied
from tests.faults.servers import Server
from tests.faults.wire import token
from tests.faults.world import World
from tests.incidents.uploading import STREAM, metadata, picture_of
from tests.npm import installed_node

MIB = 1024 * 1024
WAYS = (
    "plain",
    "pieces",
    "stream",
    "readable",
    "creation",
    "creation-pieces",
    "deferred",
    "stream-deferred",
    "readable-deferred",
    "override",
    "pause",
)
READ_AT_A_TIME = 16 * 1024
"""The proxy's client_body_buffer_size."""
NODE = Path(__file__).parent / "node"

pytestmark = needs_nginx


@dataclass(frozen=True)
class Front:
    """Two processes, and the proxy before them."""

    world: World
    servers: tuple[Server, Server]
    url: str
    token: str

    def link(self, server: Server | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}", "Tus-Resumable": "1.0.0"}
        url = server.url if server else self.url
        return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30)

    async def reported(self, body: bytes) -> tuple[str, str]:
        """A report that waits for this file."""
        file = {
            "id": str(new_id()),
            "kind": "photo",
            "name": "现场.png",
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        async with self.link() as link:
            made = new_incident(attachments=[file])
            answer = await link.post("/v1/incidents", json=made)
        assert answer.status_code == 201, answer.text
        return made["id"], str(file["id"])

    async def check_stored(self, incident: str, body: bytes, by: Server | None = None) -> None:
        async with self.link(by) as link:
            shown = (await link.get(f"/v1/incidents/{incident}")).json()
            assert [item["state"] for item in shown["attachments"]] == ["stored"]
            got = await link.get(shown["attachments"][0]["url"])
        assert hashlib.sha256(got.content).digest() == hashlib.sha256(body).digest()


@pytest.fixture
async def front(world: World, tmp_path: Path) -> AsyncIterator[Front]:
    servers = (await world.serve("api"), await world.serve("api"))
    folder = tmp_path / "nginx"
    folder.mkdir()
    async with proxied(servers, folder) as url:
        yield Front(world, servers, url, await token(url))


async def _created(front: Front, body: bytes) -> tuple[str, str]:
    """A report and the upload of its file: the incident's id and the upload's path."""
    incident, file = await front.reported(body)
    headers = {
        "Upload-Length": str(len(body)),
        "Upload-Metadata": metadata(incident_id=incident, attachment_id=file),
    }
    async with front.link() as link:
        answer = await link.post("/v1/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return incident, answer.headers["location"]


async def _cut(
    front: Front, url: str, path: str, sent: bytes, announced: int, passed_s: float = 0.5
) -> None:
    """A PATCH of which so many bytes leave, before the link is gone."""
    target = urlsplit(url)
    _, writer = await asyncio.open_connection(target.hostname, target.port)
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: etong.test\r\nTus-Resumable: 1.0.0\r\n"
        f"Authorization: Bearer {front.token}\r\nContent-Type: {STREAM}\r\n"
        f"Upload-Offset: 0\r\nContent-Length: {announced}\r\n\r\n"
    )
    writer.write(head.encode() + sent)
    await writer.drain()
    # what the proxy has not passed on when the link breaks it forgets: N is what was received
    await asyncio.sleep(passed_s)
    writer.close()


async def _offset_within(link: httpx.AsyncClient, path: str, wanted: int, seconds: float) -> int:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = await link.head(path)
        assert answer.status_code == 204
        offset = int(answer.headers["upload-offset"])
        if offset == wanted or asyncio.get_running_loop().time() > deadline:
            return offset
        await asyncio.sleep(0.05)


CUTS = (
    (1, 2_000_000),
    (65_536, 2_000_000),
    (700_000, 2_000_000),
    (5 * MIB - 1, 11 * MIB),
    (5 * MIB, 11 * MIB),
    (5 * MIB + 1, 11 * MIB),
    (10 * MIB, 11 * MIB),
)


async def test_u9_u21_f4_cut_through_the_proxy_and_resumed_on_the_other_process(
    front: Front,
) -> None:
    async with front.link(front.servers[1]) as other:
        for cut, length in CUTS:
            body = picture_of(length, cut)
            incident, path = await _created(front, body)
            await _cut(front, front.url, path, body[:cut], length)
            assert await _offset_within(other, path, cut, 2.0) == cut
            headers = {"Upload-Offset": str(cut), "Content-Type": STREAM}
            answer = await other.patch(path, content=body[cut:], headers=headers)
            assert answer.status_code == 204, answer.text
            await front.check_stored(incident, body)
    assert front.world.bugs() == []


async def test_u9_u21_a_link_cut_at_once_costs_at_most_what_the_proxy_reads_at_a_time(
    front: Front,
) -> None:
    """The shipped proxy forgets what it read last when the link's end comes right behind it."""
    async with front.link(front.servers[1]) as other:
        for cut in (1, 700_000, 5 * MIB + 1):
            body = picture_of(11 * MIB, cut)
            incident, path = await _created(front, body)
            await _cut(front, front.url, path, body[:cut], len(body), passed_s=0)
            reached = await _offset_within(other, path, cut, 2.0)
            assert cut - READ_AT_A_TIME <= reached <= cut
            headers = {"Upload-Offset": str(reached), "Content-Type": STREAM}
            answer = await other.patch(path, content=body[reached:], headers=headers)
            assert answer.status_code == 204, answer.text
            await front.check_stored(incident, body)


async def test_u10_f5_takeover_by_another_process(front: Front) -> None:
    first, second = front.servers
    body = picture_of(3 * MIB)
    incident, path = await _created(front, body)
    target = urlsplit(first.url)
    _, writer = await asyncio.open_connection(target.hostname, target.port)
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: etong.test\r\nTus-Resumable: 1.0.0\r\n"
        f"Authorization: Bearer {front.token}\r\nContent-Type: {STREAM}\r\n"
        f"Upload-Offset: 0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:MIB])
    await writer.drain()
    await asyncio.sleep(0.3)
    began = asyncio.get_running_loop().time()
    async with front.link(second) as link:
        assert int((await link.head(path)).headers["upload-offset"]) == MIB
        headers = {"Upload-Offset": str(MIB), "Content-Type": STREAM}
        answer = await link.patch(path, content=body[MIB:], headers=headers)
    assert answer.status_code == 204, answer.text
    assert asyncio.get_running_loop().time() - began < 5
    writer.close()
    await front.check_stored(incident, body)


async def test_u10_a_killed_process_is_gone_round(front: Front) -> None:
    first, second = front.servers
    body = picture_of(12 * MIB)
    incident, path = await _created(front, body)
    await _cut_by_kill(front, first, path, body)
    began = asyncio.get_running_loop().time()
    async with front.link(second) as link:
        offset = int((await link.head(path)).headers["upload-offset"])
        assert offset in {0, 8 * MIB}
        headers = {"Upload-Offset": str(offset), "Content-Type": STREAM}
        answer = await link.patch(path, content=body[offset:], headers=headers)
    assert answer.status_code == 204, answer.text
    assert asyncio.get_running_loop().time() - began < 5
    await front.check_stored(incident, body, by=second)


async def _cut_by_kill(front: Front, server: Server, path: str, body: bytes) -> None:
    target = urlsplit(server.url)
    _, writer = await asyncio.open_connection(target.hostname, target.port)
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: etong.test\r\nTus-Resumable: 1.0.0\r\n"
        f"Authorization: Bearer {front.token}\r\nContent-Type: {STREAM}\r\n"
        f"Upload-Offset: 0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[: 9 * MIB])
    await writer.drain()
    await asyncio.sleep(0.3)
    await server.kill()
    writer.close()


async def test_u8_post_with_an_override_chunked_through_the_proxy(front: Front) -> None:
    body = picture_of(3 * MIB)
    incident, path = await _created(front, body)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    headers = {
        "X-HTTP-Method-Override": "PATCH",
        "Upload-Offset": "0",
        "Content-Type": STREAM,
    }
    async with front.link() as link:
        answer = await link.post(path, content=pieces(), headers=headers)
    assert answer.status_code == 204, answer.text
    await front.check_stored(incident, body)


async def test_u8_tus_js_client(front: Front, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    await asyncio.to_thread(installed_node, NODE, folder, "upload.mjs")
    for number, way in enumerate(WAYS):
        body = picture_of(4 * MIB + number, number)
        (folder / "现场.png").write_bytes(body)
        incident, file = await front.reported(body)
        told = json.dumps({"incident_id": incident, "attachment_id": file})
        node = await asyncio.create_subprocess_exec(
            "node", "upload.mjs", way, f"{front.url}/v1/uploads", front.token, "现场.png", told,
            cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await asyncio.wait_for(node.communicate(), 60)
        assert node.returncode == 0, (way, said.decode()[-2000:])
        await front.check_stored(incident, body)
    assert front.world.bugs() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves its sessions open
@pytest.mark.parametrize("checked", [False, True])
async def test_u12_tuspy(front: Front, tmp_path: Path, *, checked: bool) -> None:
    body = picture_of(5 * MIB + 3)
    incident, file = await front.reported(body)
    path = tmp_path / "现场.png"
    path.write_bytes(body)

    def upload() -> None:
        client = TusClient(
            f"{front.url}/v1/uploads", headers={"Authorization": f"Bearer {front.token}"}
        )
        uploader = client.uploader(
            str(path),
            chunk_size=MIB,
            upload_checksum=checked,
            metadata={"incident_id": incident, "attachment_id": file, "filename": "现场.png"},
        )
        uploader.upload(stop_at=2 * MIB)  # a pause: another object goes on from the same address
        client.uploader(
            str(path), chunk_size=MIB, url=uploader.url, upload_checksum=checked
        ).upload()

    await asyncio.to_thread(upload)
    gc.collect()
    await front.check_stored(incident, body)
    assert front.world.bugs() == []
