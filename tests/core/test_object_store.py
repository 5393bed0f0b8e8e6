"""One contract for both object stores, the real one against a real S3 server."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from app.core.breaker import Breaker
from app.core.memory_store import MemoryStore
from app.core.object_store import MIN_PART_BYTES, ObjectMissing, ObjectStore, StoreUnavailable
from app.core.s3_objects import WholeObjects
from app.core.s3_store import S3Store
from app.core.settings import StoreSettings
from app.embedded.store import EmbeddedStore


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedStore]:
    home = Path(tempfile.mkdtemp(prefix="etong-store-"))
    embedded = EmbeddedStore(home)
    embedded.start()
    yield embedded
    embedded.stop()
    shutil.rmtree(home, ignore_errors=True)


def settings_of(server: EmbeddedStore, bucket: str = "contract") -> StoreSettings:
    return StoreSettings(
        endpoint_url=server.endpoint_url,
        bucket=bucket,
        access_key=SecretStr(server.access_key),
        secret_key=SecretStr(server.secret_key),
    )


@pytest.fixture(scope="session")
async def s3(server: EmbeddedStore) -> AsyncIterator[S3Store]:
    store = S3Store(settings_of(server))
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture(params=["memory", "s3"])
async def store(request: pytest.FixtureRequest, s3: S3Store) -> ObjectStore:
    return MemoryStore() if request.param == "memory" else s3


@pytest.fixture
def key() -> str:
    return f"media/2026/03/{uuid4()}"


async def read(store: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    async with aclosing(store.read(key, start, end)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_a_missing_object_is_named(store: ObjectStore, key: str) -> None:
    with pytest.raises(ObjectMissing):
        await store.size(key)
    with pytest.raises(ObjectMissing):
        await read(store, key)
    with pytest.raises(ObjectMissing):
        await read(store, key, 3, 3)
    await store.delete([key])


async def test_unknown_parts_are_named(store: ObjectStore, key: str) -> None:
    upload_id = await store.start_parts(key, "video/mp4")
    await store.abort_parts(key, upload_id)
    await store.abort_parts(key, upload_id)
    with pytest.raises(ObjectMissing):
        await store.put_part(key, upload_id, 1, b"late")
    with pytest.raises(ObjectMissing):
        await store.complete_parts(key, upload_id, {1: '"etag"'})


async def test_parts_that_differ_make_no_object(store: ObjectStore, key: str) -> None:
    upload_id = await store.start_parts(key, "video/mp4")
    await store.put_part(key, upload_id, 1, b"right")
    with pytest.raises(StoreUnavailable):
        await store.complete_parts(key, upload_id, {1: '"' + "0" * 32 + '"'})
    with pytest.raises(ObjectMissing):
        await store.size(key)
    await store.abort_parts(key, upload_id)


async def test_put_read_delete(store: ObjectStore, key: str) -> None:
    body = bytes(range(256)) * 3000
    await store.put(key, body, "image/jpeg")
    assert await store.size(key) == len(body)
    assert await read(store, key) == body
    await store.delete([key])
    with pytest.raises(ObjectMissing):
        await store.size(key)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (3, 7), (9, 10), (5, None), (9, 99), (10, None), (12, 20), (4, 4)]
)
async def test_ranges(store: ObjectStore, key: str, start: int, end: int | None) -> None:
    await store.put(key, b"0123456789", "audio/wav")
    assert await read(store, key, start, end) == b"0123456789"[start:end]


async def test_an_empty_object(store: ObjectStore, key: str) -> None:
    await store.put(key, b"", "audio/wav")
    assert await store.size(key) == 0
    assert await read(store, key) == b""


async def test_reading_can_stop_early(store: ObjectStore, key: str) -> None:
    await store.put(key, bytes(1_000_000), "audio/wav")
    async with aclosing(store.read(key)) as chunks:
        assert await anext(chunks)
    assert await store.size(key) == 1_000_000


async def test_parts_become_an_object_and_completing_again_is_safe(
    store: ObjectStore, key: str
) -> None:
    first, last = b"a" * MIN_PART_BYTES, b"b" * 10
    upload_id = await store.start_parts(key, "video/mp4")
    etags = [
        await store.put_part(key, upload_id, 1, first),
        await store.put_part(key, upload_id, 2, last),
    ]
    assert key in [found.key async for found in store.unfinished("media/")]
    await store.complete_parts(key, upload_id, dict(enumerate(etags, 1)))
    await store.complete_parts(key, upload_id, dict(enumerate(etags, 1)))
    assert await read(store, key, MIN_PART_BYTES - 1) == b"a" + last
    assert key not in [found.key async for found in store.unfinished("media/")]


async def test_listing_is_by_prefix(store: ObjectStore) -> None:
    prefix = f"list/{uuid4()}/"
    for number in range(3):
        await store.put(f"{prefix}{number}", b"x" * number, "image/png")
    found = [item async for item in store.list(prefix)]
    assert [(item.key, item.size) for item in found] == [(f"{prefix}{n}", n) for n in range(3)]
    assert all(item.modified_at.tzinfo for item in found)


async def test_m5_names_outside_ascii_are_no_keys() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        await MemoryStore().put("媒体", b"", "image/png")


async def test_m11_preparing_twice_sets_one_rule(server: EmbeddedStore) -> None:
    store = S3Store(settings_of(server, f"bucket-{uuid4().hex[:8]}"))
    await store.prepare()
    await store.prepare()
    rules = store._client.get_bucket_lifecycle_configuration(Bucket=store._bucket)["Rules"]  # noqa: SLF001 - the door shows no rules
    await store.close()
    assert [rule["ID"] for rule in rules] == ["etong-abort-unfinished"]
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


class FakeServer:
    """Answers every request with `answer` and closes; without one it stays silent."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.lower())
        answer = self.answer_to(head)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    def answer_to(self, head: bytes) -> bytes | None:
        del head
        return self.answer

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """The port."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def at(port: int, deadline_s: float = 10.0) -> StoreSettings:
    return StoreSettings(
        endpoint_url=f"http://127.0.0.1:{port}",
        access_key=SecretStr("a"),
        secret_key=SecretStr("s"),
        deadline_s=deadline_s,
    )


async def test_f8_f9_a_silent_store_is_given_up_at_the_deadline() -> None:
    async with FakeServer().running() as port:
        store = S3Store(at(port, 0.2))
        started = asyncio.get_running_loop().time()
        with pytest.raises(StoreUnavailable):
            await store.put("media/x", b"x", "image/png")
        assert asyncio.get_running_loop().time() - started < 2
        await store.close()


async def test_f8_after_failures_the_breaker_answers_at_once() -> None:
    moment = 0.0
    server = FakeServer(answer("403 Forbidden", "Content-Length: 0"))
    async with server.running() as port:
        store = S3Store(at(port), Breaker(threshold=2, monotonic=lambda: moment))
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.size("media/x")
        asked = len(server.heads)
        with pytest.raises(StoreUnavailable, match="breaker"):
            await store.size("media/x")
        assert len(server.heads) == asked
        moment = 6.0
        server.answer = answer("200 OK", "Content-Length: 7")
        assert await store.size("media/x") == 7
        await store.close()


async def test_f8_nobody_listening_is_unavailable() -> None:
    async with FakeServer().running() as port:
        pass
    store = S3Store(at(port))
    with pytest.raises(StoreUnavailable):
        await store.size("media/x")
    await store.close()


async def test_f8_an_answer_cut_short_is_unavailable() -> None:
    server = FakeServer(answer("200 OK", "Content-Length: 10", body=b"12345"))
    async with server.running() as port:
        store = S3Store(at(port))
        with pytest.raises(StoreUnavailable):
            await read(store, "media/x")
        await store.close()


CHECKSUM = (b"aws-chunked", b"x-amz-trailer", b"x-amz-checksum", b"x-amz-sdk-checksum")


async def _heads(settings: StoreSettings) -> list[bytes]:
    """Of everything that is written: an object, a part, what makes an object of parts."""
    made = b"<CompleteMultipartUploadResult><Key>media/x</Key></CompleteMultipartUploadResult>"
    server = FakeServer(answer("200 OK", 'ETag: "e"', f"Content-Length: {len(made)}", body=made))
    async with server.running() as port:
        url = f"http://127.0.0.1:{port}"
        store = S3Store(settings.model_copy(update={"endpoint_url": url}))
        await store.put("media/x", b"x", "image/png")
        await store.put_part("media/x", "upload", 1, b"x")
        await store.complete_parts("media/x", "upload", {1: '"e"'})
        await store.close()
    return server.heads


async def test_m10_what_is_written_carries_no_checksum_of_s3s_own() -> None:
    """Several S3 servers refuse aws-chunked bodies and checksum headers they don't know."""
    heads = await _heads(at(0))
    assert [head.split()[0] for head in heads] == [b"put", b"put", b"post"]
    assert b"content-length: 1\r\n" in heads[0]
    assert b"content-length: 1\r\n" in heads[1]
    assert [word for head in heads for word in CHECKSUM if word in head] == []


async def test_what_arrives_as_it_was_sent_is_not_hashed_for_its_signature() -> None:
    heads = await _heads(at(0))
    assert all(b"x-amz-content-sha256: unsigned-payload" in head for head in heads[:2])
    for url, signed in (("http://10.0.0.5:9000", True), ("https://s3.example", False)):
        store = S3Store(StoreSettings(endpoint_url=url))
        told: dict[str, object] = store._client.meta.config.s3  # type: ignore[attr-defined]  # noqa: SLF001 - the door shows no settings
        assert told["payload_signing_enabled"] is signed
        await store.close()


async def test_f9_many_large_parts_do_not_share_one_deadline() -> None:
    """Each would take a tenth of the deadline alone, and all of them at once more than it."""
    now = most = 0

    class Narrow(FakeServer):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal now, most
            head = await reader.readuntil(b"\r\n\r\n")
            if b"100-continue" in head:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            now += 1
            most = max(most, now)
            await reader.readexactly(len(large))
            await asyncio.sleep(0.02)
            now -= 1
            writer.write(answer("200 OK", 'ETag: "e"', "Content-Length: 0"))
            writer.close()

    large = bytes(1024 * 1024)
    async with Narrow().running() as port:
        store = S3Store(at(port))
        await asyncio.gather(*(store.put_part("media/x", "u", n, large) for n in range(1, 13)))
        await asyncio.gather(*(store.put("media/x", large, "image/png") for _ in range(12)))
        await store.close()
    assert 1 < most <= 4


async def test_m10_a_store_that_wants_checksums_gets_them() -> None:
    heads = await _heads(at(0).model_copy(update={"checksums": "when_supported"}))
    assert all(any(word in head for word in CHECKSUM) for head in heads[:2])


async def test_the_machines_web_proxy_is_not_asked_for_media(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = FakeServer(answer("200 OK", 'ETag: "e"', "Content-Length: 0"))
    async with server.running() as port:
        store = S3Store(at(port))
        await store.put("media/x", b"x", "image/png")
        await store.delete(["media/x"])
        await store.close()
    assert [head.split()[0] for head in server.heads] == [b"put", b"delete"]


async def test_a_put_into_a_bucket_that_is_not_there_is_unavailable() -> None:
    """A missing bucket is a fault of the store, not a missing object."""
    async with FakeServer(answer("404 Not Found", "Content-Length: 0")).running() as port:
        store = S3Store(at(port))
        with pytest.raises(StoreUnavailable):
            await store.put("media/x", b"x", "image/png")
        await store.close()


@pytest.mark.parametrize(
    ("url", "digest"),
    [
        ("http://s3.example", True),
        ("http://10.0.0.5:9000", True),
        ("https://s3.example", False),
        ("http://127.0.0.1:9000", False),
    ],
)
def test_on_an_open_network_the_store_is_told_the_digest_of_what_it_gets(
    url: str,
    digest: bool,  # noqa: FBT001 - a parametrized fact
) -> None:
    config = WholeObjects(StoreSettings(endpoint_url=url)).client.config
    assert config.get("unsigned_payload", False) is not digest
    assert config["endpoint"] == url


def test_the_bucket_is_part_of_the_hosts_name_where_it_is_asked_for() -> None:
    settings = StoreSettings(endpoint_url="https://s3.example", addressing="virtual")
    assert WholeObjects(settings).client.config["endpoint"] == "https://etong-media.s3.example"


async def test_m11_a_store_without_lifecycles_is_tolerated() -> None:
    class Old(FakeServer):
        def answer_to(self, head: bytes) -> bytes:
            body = b"<Error><Code>NotImplemented</Code></Error>"
            length = f"Content-Length: {len(body)}"
            if b"lifecycle" in head:
                return answer("501 Not Implemented", length, body=body)
            return answer("200 OK", "Content-Length: 0")

    server = Old()
    async with server.running() as port:
        store = S3Store(at(port))
        await store.prepare()
        await store.close()
    assert any(head.startswith(b"put") and b"lifecycle" in head for head in server.heads)


async def test_the_loop_runs_on_while_the_store_is_slow() -> None:
    async with FakeServer().running() as port:
        store = S3Store(at(port, 0.3))
        asking = asyncio.create_task(store.size("media/x"))
        turns = 0
        while not asking.done():
            await asyncio.sleep(0)
            turns += 1
        with pytest.raises(StoreUnavailable):
            await asking
        await store.close()
    assert turns > 100


async def test_the_doubles_faults() -> None:
    store = MemoryStore()
    store.fail_every = 2
    await store.put("a", b"123", "image/png")
    with pytest.raises(StoreUnavailable):
        await store.size("a")
    store.size_lie = -1
    assert await store.size("a") == 2
    store.down = True
    with pytest.raises(StoreUnavailable):
        await store.prepare()
    store.down, store.fail_every, store.gate = False, 0, asyncio.Event()
    waiting = asyncio.create_task(store.size("a"))
    await asyncio.sleep(0)
    assert not waiting.done()
    store.gate.set()
    assert await waiting == 2


async def test_the_double_refuses_small_parts_as_the_real_one_does() -> None:
    store = MemoryStore()
    upload_id = await store.start_parts("a", "video/mp4")
    etags = [await store.put_part("a", upload_id, number, b"small") for number in (1, 2)]
    with pytest.raises(StoreUnavailable):
        await store.complete_parts("a", upload_id, dict(enumerate(etags, 1)))


def test_the_breaker_lets_one_probe_out_at_a_time() -> None:
    moment = 0.0
    breaker = Breaker(threshold=2, open_s=5, monotonic=lambda: moment)
    breaker.failed()
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    moment = 5.0
    assert breaker.admits()
    assert not breaker.admits()
    breaker.failed()
    moment = 9.0
    assert not breaker.admits()
    moment = 10.0
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.admits()
    assert breaker.admits()
