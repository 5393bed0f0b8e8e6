"""How an operator's command asks: what keeps it from an answer is said in one line."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from app.core.settings import Settings
from app.embedded.kept import with_kept
from app.embedded.ownership import EmbeddedError


def asked(settings: Settings, ask: Callable[[Settings], Awaitable[int]], not_asked: int) -> int:
    """The exit status: `ask`'s own, or `not_asked` where no server or no database answers."""

    async def run() -> int:
        return await ask(with_kept(settings))

    try:
        return asyncio.run(run())
    except EmbeddedError as refusal:
        print(f"etong: {refusal}", file=sys.stderr)
    except SQLAlchemyError as silent:
        name = type(silent).__name__
        print(f"etong: the database does not answer ({name}) / 数据库无法访问", file=sys.stderr)
    return not_asked
