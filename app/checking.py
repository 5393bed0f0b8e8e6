"""`etong check`: the invariants V1-V8 against the database and the store, told to an operator."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import SystemClock
from app.core.db import Sessions, make_engine
from app.core.object_store import StoreUnavailable
from app.core.settings import Settings
from app.embedded.kept import with_kept
from app.embedded.ownership import EmbeddedError
from app.evidence.flaws import copy_flaws, kept_anchors
from app.evidence.models import Anchor
from app.media.rereading import note
from app.opening import opened_store
from app.system.invariants import Violation, check_all
from app.system.ledgers import (
    KeptFile,
    Ledger,
    acknowledged,
    damage,
    files_promised,
    files_whole,
    kept_files,
    reread,
    seen_in_order,
    verified_by_platforms,
)

Media = Literal["none", "sample", "all"]
Say = Callable[[str], None]

SAMPLE = 200
HOLDS, VIOLATED, NOT_ASKED = 0, 1, 2
"""Exit statuses; the last: database, store or ledger could not be read."""

_CHINESE = {
    "V1": "回执与事件一一对应",
    "V2": "附件完整",
    "V3": "责任单位唯一",
    "V4": "通知编号连续",
    "V5": "推送送达",
    "V6": "流转合法",
    "V7": "无事项静默滞留",
    "V8": "账目与哈希链一致",
}


async def check(settings: Settings, ledgers: Sequence[Path], media: Media, say: Say) -> int:
    """Ask everything, print each violation and a last line; the exit status."""
    try:
        violations = [found async for found in _violations(settings, ledgers, media, say)]
    except SQLAlchemyError as unanswered:
        say(f"etong: the database does not answer ({type(unanswered).__name__}) / 数据库无法访问")
        return NOT_ASKED
    except StoreUnavailable as unanswered:
        say(f"etong: the object store does not answer ({unanswered}) / 对象存储无法访问")
        return NOT_ASKED
    except (OSError, ValueError) as unreadable:
        say(f"etong: a ledger cannot be read: {unreadable} / 台账无法读取")
        return NOT_ASKED
    if violations:
        say(f"{len(violations)} violations / 发现 {len(violations)} 处不符")
        return VIOLATED
    say("every invariant holds / 全部不变量成立")
    return HOLDS


async def _violations(
    settings: Settings, ledgers: Sequence[Path], media: Media, say: Say
) -> AsyncIterator[Violation]:
    ledger = _read(ledgers)
    async with _snapshot(settings) as session:
        found = await check_all(session, SystemClock().now())
        found += await acknowledged(session, ledger)
        found += await files_promised(session, ledger)
        found += await seen_in_order(session, ledger)
        found += await verified_by_platforms(session, ledger)
        files = await _chosen(session, media)
        anchors = [] if media == "none" else await kept_anchors(session, _most(media))
    for violation in found:
        say(_line(violation))
        yield violation
    async for violation in _read_back(settings, files, anchors):
        say(_line(violation))
        yield violation
    say(
        f"{len(ledger.numbers)} receipts, {len(ledger.digests)} promised files, {len(files)} files"
        f" read back / 核对回执 {len(ledger.numbers)} 份，回读附件 {len(files)} 个"
    )


def _line(violation: Violation) -> str:
    chinese = _CHINESE[violation.invariant]
    return f"{violation.invariant} {violation.subject}: {violation.what} / 不符合“{chinese}”"


def _read(paths: Sequence[Path]) -> Ledger:
    return Ledger.read(line for path in paths for line in path.read_bytes().splitlines())


@asynccontextmanager
async def _snapshot(settings: Settings) -> AsyncIterator[AsyncSession]:
    """One moment of a living database: questions asked one after the other must not disagree."""
    sessions = Sessions(make_engine(settings.database))
    try:
        async with sessions.read() as session:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            await session.connection(execution_options=options)
            yield session
    finally:
        await sessions.close()


async def _chosen(session: AsyncSession, media: Media) -> list[KeptFile]:
    if media == "none":
        return []
    return await kept_files(session, _most(media))


def _most(media: Media) -> int | None:
    return SAMPLE if media == "sample" else None


async def _read_back(
    settings: Settings, files: Sequence[KeptFile], anchors: Sequence[Anchor] = ()
) -> AsyncIterator[Violation]:
    store = opened_store(settings)
    try:
        async for subject, what in copy_flaws(store, anchors):
            yield Violation("V8", subject, what)
        async for violation in files_whole(store, files):
            yield violation
    finally:
        await store.close()


async def verify(settings: Settings, most: int | None, say: Say) -> int:
    """Read back so many files, or all of them, and write down what was found; the exit status.

    A file whose bytes are others or gone is expected again, and its reporter is told (F10).
    """
    sessions, store = Sessions(make_engine(settings.database)), opened_store(settings)
    read = damaged = 0
    try:
        async with sessions.read() as session:
            files = await kept_files(session, most)
        async for file, found in reread(store, files):
            async with sessions.begin() as session:
                await note(session, file.file_id, "verify", found, at=SystemClock().now())
            read += 1
            if found != "whole":
                damaged += 1
                say(_line(damage(file, found)))
    except SQLAlchemyError as unanswered:
        say(f"etong: the database does not answer ({type(unanswered).__name__}) / 数据库无法访问")
        return NOT_ASKED
    except StoreUnavailable as unanswered:
        say(f"etong: the object store does not answer ({unanswered}) / 对象存储无法访问")
        return NOT_ASKED
    finally:
        await store.close()
        await sessions.close()
    say(f"{read} files read back, {damaged} damaged / 回读附件 {read} 个")
    return VIOLATED if damaged else HOLDS


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    media: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """`etong check` and, below `media`, `etong media verify`."""
    parser = commands.add_parser("check", help="ask database and store whether every promise holds")
    parser.add_argument(
        "--ledger", action="append", default=[], type=Path, metavar="FILE", help="several times"
    )
    parser.add_argument(
        "--media", choices=get_args(Media), default="sample", help=f"sample: {SAMPLE} files"
    )
    parser.set_defaults(run=_run)
    verifying = media.add_parser("verify", help="read files back and compare their SHA-256")
    how_many = verifying.add_mutually_exclusive_group()
    how_many.add_argument("--all", action="store_true", help="every file there is")
    how_many.add_argument(
        "--sample", type=int, default=SAMPLE, metavar="N", help=f"drawn at random; {SAMPLE}"
    )
    verifying.set_defaults(run=_verify)


def _run(settings: Settings, options: argparse.Namespace) -> int:
    return _asked(settings, lambda given: check(given, options.ledger, options.media, print))


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    most = None if options.all else options.sample
    return _asked(settings, lambda given: verify(given, most, print))


def _asked(settings: Settings, ask: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    try:
        given = with_kept(settings)
    except EmbeddedError as refusal:
        print(f"etong: {refusal}", file=sys.stderr)
        return NOT_ASKED
    return asyncio.run(ask(given))
