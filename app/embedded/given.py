"""A given database and object store made ready for `etong serve`: all that has to be in them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.areas.importing import seed_reference
from app.areas.locate import AreaMap
from app.areas.models import Area
from app.categories.seed import seed as seed_categories
from app.core.settings import Settings
from app.deadlines.seed import seed as seed_deadlines
from app.embedded.organisation import NewUnit, organisation
from app.embedded.ownership import EmbeddedError
from app.opening import opened
from app.routing.seed import seed as seed_rules
from app.schema import migrate


async def prepare_given(settings: Settings, areas: Path | None) -> Sequence[str]:
    """Schema to head, the bucket, the catalogues; safe at every deployment, overwrites nothing.

    `areas`: a folder like `reference/`. Its areas are imported, and where there are no units yet
    every district, township and village gets its centre. Nobody gets an account. Returns the codes
    of the districts' centres. Raises EmbeddedError for a folder that cannot be imported.
    """
    await migrate(settings.database)
    async with opened(settings) as resources:
        await resources.store.prepare()
        at = resources.clock.now()
        async with resources.sessions.begin() as session:
            await seed_categories(session)
            await seed_deadlines(session)
            await seed_rules(session, at)
            if areas is not None:
                report = await seed_reference(session, areas, at)
                if report.errors:
                    raise EmbeddedError(f"{areas}: {report.errors[0]} / 区划数据无法导入")
                await _seed_units(session)
            return await _districts(session)


async def _seed_units(session: AsyncSession) -> None:
    if await session.scalar(select(func.count()).select_from(Unit)):
        return
    areas = await AreaMap.load(session)
    codes = await session.scalars(
        select(Area.code).where(Area.level == "district", Area.valid_to.is_(None))
    )
    units: list[NewUnit] = [unit for code in codes for unit in organisation(areas, code)]
    if units:
        await session.execute(insert(Unit), [asdict(unit) for unit in units])


async def _districts(session: AsyncSession) -> Sequence[str]:
    question = select(Unit.code).where(Unit.level == "district", Unit.kind == "centre")
    return (await session.scalars(question.order_by(Unit.code))).all()
