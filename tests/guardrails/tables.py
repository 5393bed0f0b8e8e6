"""A fingerprint of everything that is stored, table by table."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.tables import TABLES

PROCESSED = "domain_events"
"""Its rows are marked by the relay; everything else of them stays."""


async def fingerprints(
    session: AsyncSession, leaving_out: Collection[str] = ()
) -> dict[str, tuple[int, str]]:
    """Table → (rows, digest of all rows in any order)."""
    found = {}
    for table in TABLES:
        name = table.__tablename__
        if name in leaving_out:
            continue
        row = "to_jsonb(t) - 'processed_at'" if name == PROCESSED else "to_jsonb(t)"
        # names of our own tables, nobody's input
        rows = await session.execute(
            text(
                f"SELECT count(*), md5(coalesce(string_agg(md5(({row})::text), '' "  # noqa: S608
                f"ORDER BY md5(({row})::text)), '')) FROM {name} t"
            )
        )
        count, digest = rows.one()
        found[name] = (int(count), str(digest))
    return found
