"""PostgreSQL through SQLAlchemy: model base, naming convention, engine, sessions."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson
import uuid_utils.compat
from sqlalchemy import (
    BigInteger,
    Boolean,
    ClauseElement,
    ColumnElement,
    DateTime,
    LargeBinary,
    MetaData,
    Text,
    Uuid,
    any_,
    literal,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute

from app.core.errors import OutcomeUnknown
from app.core.settings import DatabaseSettings
from app.core.statements import Statements

Json = dict[str, Any]

NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Model(DeclarativeBase):
    """Base of every table; `app.tables` imports them all so that the metadata is whole."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        bytes: LargeBinary,
        datetime: DateTime(timezone=True),
        UUID: Uuid,
        Json: JSONB,
        list[Any]: JSONB,
    }


def one_of(column: InstrumentedAttribute[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """`column = ANY(array)`: one parameter, and one statement to compile, however many values."""
    wanted: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(column.type)))
    return wanted


NOTHING: ColumnElement[bool] = literal_column("false", Boolean)
"""A condition no row meets. Unlike `false()` it does not swallow the conditions beside it, joins
among them."""


def new_id() -> UUID:
    """A fresh UUIDv7: random, and near its neighbours in an index."""
    return uuid_utils.compat.uuid7()


class Sessions:
    """The process's door to the database. `read()` never commits, `begin()` commits once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.info: Json = {}
        """What every session has with it (`session.info`)."""
        self._make = async_sessionmaker(engine, expire_on_commit=False, info=self.info)
        self._statements = Statements(engine)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """One transaction for writing: committed at the end, rolled back on any error.

        Raises OutcomeUnknown where COMMIT was sent and its answer never came: only a repeat tells.
        """
        async with self._make() as session:
            yield session
            try:
                await session.commit()
            except OperationalError as lost:
                raise OutcomeUnknown(headers={"Retry-After": "2"}) from lost

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A short session for questions; whatever it did is rolled back."""
        async with self._make() as session:
            yield session

    def on(self, connection: AsyncConnection) -> AsyncSession:
        """A session on a connection that is held already; who opened it begins and commits."""
        return AsyncSession(connection, expire_on_commit=False, info=self.info)

    async def once(self, statement: ClauseElement, parameters: Json) -> Any:  # noqa: ANN401 - a value of SQL
        """The first value of one writing statement that is a transaction of its own.

        One round trip in place of three. Raises OutcomeUnknown where its answer never came.
        """
        try:
            found = await self.rows(statement, parameters)
        except DBAPIError as lost:
            if not lost.connection_invalidated:
                raise
            raise OutcomeUnknown(headers={"Retry-After": "2"}) from lost
        return found[0][0] if found else None

    async def rows(self, statement: ClauseElement, parameters: Json) -> Sequence[Any]:
        """The answer to one question as named tuples, in one round trip in place of three."""
        return await self._statements.rows(statement, parameters)

    async def close(self) -> None:
        await self._statements.close()
        await self.engine.dispose()


def make_engine(settings: DatabaseSettings) -> AsyncEngine:
    """An engine whose waiters give up after `pool_timeout_s` (the caller answers 503)."""
    return create_async_engine(
        settings.url.get_secret_value(),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_s,
        # pinging costs a round trip a request; a dead connection is replaced by its first user
        pool_pre_ping=False,
        pool_use_lifo=True,
        # an error's text must not carry what people wrote
        hide_parameters=True,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={
            "prepare_threshold": settings.prepare_threshold,
            "connect_timeout": 5,
            "application_name": "etong",
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60000",
        },
    )
