"""Statements of their own: what they return, and that they leave the pool as they found it."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import bindparam, func, literal, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.db import Sessions, make_engine
from app.core.errors import OutcomeUnknown
from app.core.settings import Settings

ID = UUID("0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11")
KILL = text("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[Sessions]:
    """A pool of one connection, so that what is left behind is found by the next."""
    tight = settings.database.model_copy(update={"pool_size": 1, "pool_timeout_s": 0.2})
    own = Sessions(make_engine(tight))
    yield own
    await own.close()


async def test_a_mistake_is_named_as_sqlalchemy_names_it(own: Sessions) -> None:
    with pytest.raises(ProgrammingError, match="nowhere"):
        await own.rows(text("SELECT * FROM nowhere"), {})
    assert await own.once(text("SELECT 1"), {}) == 1


async def test_a_lost_link_is_an_unknown_outcome(own: Sessions) -> None:
    with pytest.raises(OutcomeUnknown):
        await own.once(KILL, {})
    with pytest.raises(DBAPIError) as lost:
        await own.rows(KILL, {})
    assert lost.value.connection_invalidated
    assert await own.once(text("SELECT 1"), {}) == 1


async def test_a_database_that_is_away_is_no_unknown_outcome(settings: Settings) -> None:
    """Nothing was sent: the caller may say so."""
    port = "127.0.0.1:1/"
    url = settings.database.url.get_secret_value()
    away = type(settings.database.url)(url.replace(url.split("@")[-1].split("/")[0] + "/", port))
    gone = Sessions(make_engine(settings.database.model_copy(update={"url": away})))
    with pytest.raises(OperationalError) as refused:
        await gone.once(text("SELECT 1"), {})
    assert not refused.value.connection_invalidated
    await gone.close()


async def test_who_finds_the_pool_used_up_is_told(own: Sessions) -> None:
    async with own.read() as holder:
        await holder.execute(text("SELECT 1"))
        with pytest.raises(PoolTimeout):
            await own.rows(text("SELECT 1"), {})


async def test_rows_are_named_and_keep_what_the_statement_binds(own: Sessions) -> None:
    question = select(
        bindparam("id", type_=None).label("id"), func.jsonb_build_object("a", literal(1)).label("b")
    )
    (row,) = await own.rows(question, {"id": ID})
    assert (row.id, row.b) == (ID, {"a": 1})


async def test_a_statement_without_rows_gives_none(own: Sessions) -> None:
    assert await own.rows(text("SET application_name = 'etong'"), {}) == ()
    assert await own.once(text("SELECT 1 WHERE false"), {}) is None


async def test_it_is_a_transaction_of_its_own_and_the_next_is_none(own: Sessions) -> None:
    """Autocommitted; and who gets the connection afterwards can still roll back."""
    await own.rows(text("CREATE TEMPORARY TABLE shelf (n int)"), {})
    await own.rows(text("INSERT INTO shelf VALUES (1)"), {})
    async with own.read() as session:
        await session.execute(text("INSERT INTO shelf VALUES (2)"))
    assert await own.once(text("SELECT count(*) FROM shelf"), {}) == 1


async def test_a_cancelled_one_gives_its_connection_back_as_it_was(own: Sessions) -> None:
    asking = asyncio.create_task(own.rows(text("SELECT pg_sleep(30)"), {}))
    async with asyncio.timeout(5):
        while "out connections: 1" not in own.engine.pool.status():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with own.read() as session:
            await session.execute(text("CREATE TABLE never_committed (n int)"))
    assert await own.once(text("SELECT to_regclass('never_committed') IS NULL"), {})
