"""`etong check` and `etong media verify`: what they say, and with what status they end."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.checking import HOLDS, NOT_ASKED, VIOLATED, check, verify
from app.core.audit_sealing import Sealing
from app.core.clock import SystemClock
from app.core.s3_store import S3Store
from app.core.settings import DatabaseSettings, Settings, StoreSettings
from app.embedded.store import EmbeddedStore
from app.simulation.ledger import LedgerFile
from tests.district import District
from tests.incidents.paths import WORKER, form, with_photo

GONE = StoreSettings(
    endpoint_url="http://127.0.0.1:1", access_key=SecretStr("a"), secret_key=SecretStr("s")
)


@dataclass
class Kept:
    """A district with one report and its photo, whose bytes are in a real store."""

    settings: Settings
    district: District
    incident: UUID
    number: str
    key: str
    store: S3Store
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path_factory.mktemp("store"))
    store.start()
    yield store
    store.stop()


@pytest.fixture
async def kept(district: District, running: EmbeddedStore) -> AsyncIterator[Kept]:
    district.clock.set(SystemClock().now())  # the check asks by this one what is overdue
    worker = await district.client(WORKER)
    meta, files = with_photo()
    receipt = (await worker.post("/v1/incidents", files=form(meta, files))).json()
    await district.drain()
    await Sealing(district.resources.sessions).work()
    ((key, held),) = district.store.objects.items()
    store_settings = StoreSettings(
        endpoint_url=running.endpoint_url,
        bucket=f"check-{uuid4().hex[:12]}",
        access_key=SecretStr(running.access_key),
        secret_key=SecretStr(running.secret_key),
    )
    store = S3Store(store_settings)
    await store.prepare()
    await store.put(key, held.body, held.content_type)
    settings = district.resources.settings.model_copy(update={"store": store_settings})
    yield Kept(settings, district, UUID(receipt["id"]), receipt["number"], key, store)
    await store.close()


def _ledger(path: Path, number: str, incident: UUID) -> Path:
    with LedgerFile(path / "phone.jsonl") as ledger:
        ledger.receipt(incident, number, {})
    return path / "phone.jsonl"


async def test_v1_a_check_where_everything_holds_ends_with_0(kept: Kept, tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, kept.number, kept.incident)
    assert await check(kept.settings, [ledger], "all", kept.said.append) == HOLDS == 0
    assert "1 receipts" in kept.said[-2]
    assert "1 files read back" in kept.said[-2]
    assert kept.said[-1].startswith("every invariant holds")


async def test_v1_v2_v4_a_check_names_every_violation_in_both_languages(
    kept: Kept, tmp_path: Path
) -> None:
    ledger = _ledger(tmp_path, kept.number, uuid4())
    async with kept.district.resources.sessions.begin() as session:
        await session.execute(text("UPDATE inboxes SET head_seq = head_seq + 1"))
    await kept.store.put(kept.key, b"other", "image/png")
    assert await check(kept.settings, [ledger], "all", kept.said.append) == VIOLATED == 1
    assert {line[:2] for line in kept.said if "不符合" in line} >= {"V1", "V2", "V4"}
    assert kept.said[-1].endswith("处不符")


async def test_what_can_not_be_read_is_no_verdict(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "no.jsonl").write_text("nonsense\n")
    nowhere = DatabaseSettings(url=SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/x"))
    lost = kept.settings.model_copy(update={"database": nowhere})
    bare = kept.settings.model_copy(update={"store": GONE})
    say = kept.said.append
    assert await check(kept.settings, [tmp_path / "no.jsonl"], "none", say) == NOT_ASKED == 2
    assert await check(kept.settings, [tmp_path / "absent.jsonl"], "none", say) == NOT_ASKED
    assert await check(lost, [], "none", say) == NOT_ASKED
    assert await check(bare, [], "sample", say) == NOT_ASKED
    assert await check(bare, [], "none", say) == HOLDS
    assert await verify(lost, None, say) == NOT_ASKED
    assert await verify(bare, None, say) == NOT_ASKED


async def test_m10_r3_verifying_reads_every_file_back(kept: Kept) -> None:
    say = kept.said.append
    assert await verify(kept.settings, None, say) == HOLDS
    assert kept.said[-1].startswith("1 files read back, 0 damaged")
    await kept.store.put(kept.key, b"other", "image/png")
    assert await verify(kept.settings, 5, say) == VIOLATED
    assert "the stored bytes are others" in kept.said[-2]
    # it is not stored any more: its phone is asked for it
    assert await verify(kept.settings, None, say) == HOLDS
    assert kept.said[-1].startswith("0 files read back, 0 damaged")


async def test_f10_verifying_finds_an_object_that_is_gone(kept: Kept) -> None:
    await kept.store.delete([kept.key])
    assert await verify(kept.settings, 5, kept.said.append) == VIOLATED
    assert "the object is gone" in kept.said[-2]
