"""Seeding of the one-machine default: the reference district, its units and the demo cast."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.enrolment import create_person, create_platform
from app.accounts.models import Person, Unit
from app.accounts.permissions import Role
from app.accounts.queries import platform_by_code
from app.areas.importing import seed_reference
from app.areas.locate import AreaMap
from app.categories.seed import seed as seed_categories
from app.core.resources import Resources
from app.core.settings import Settings
from app.deadlines.seed import seed as seed_deadlines
from app.embedded.organisation import organisation
from app.embedded.ownership import EmbeddedError
from app.opening import opened
from app.routing.seed import seed as seed_rules
from app.schema import migrate
from app.webhooks.callbacks import rotate_secret

REFERENCE = Path(__file__).parent / "reference"
DISTRICT = "620802"


@dataclass(frozen=True, slots=True)
class Member:
    """One of the demo cast."""

    username: str
    name: str
    role: Role
    unit: str
    grid: str | None = None


CAST = (
    Member("worker-yonghong", "永红网格员", Role.GRID_WORKER, "620802105202", "620802105202001"),
    Member("desk-yonghong", "永红村调度员", Role.DISPATCHER, "620802105202"),
    Member("desk-liuhu", "柳湖镇调度员", Role.DISPATCHER, "620802105"),
    Member("police-liuhu", "柳湖派出所民警", Role.HANDLER, "620802105-police"),
    Member("desk-kongtong", "崆峒区调度员", Role.DISPATCHER, DISTRICT),
    Member("supervisor-kongtong", "崆峒区督办", Role.SUPERVISOR, DISTRICT),
    Member("auditor", "审计员", Role.AUDITOR, DISTRICT),
    Member("security", "安全员", Role.SECURITY_OFFICER, DISTRICT),
    Member("admin", "系统管理员", Role.ADMINISTRATOR, DISTRICT),
    Member("worker-minxin", "民馨网格员", Role.GRID_WORKER, "620802003007", "620802003007001"),
)
PLATFORM = ("liuhu-platform", "柳湖镇平台", "620802105")


async def prepare(settings: Settings) -> None:
    """Schema to head, bucket there, and on the first start everything a district needs."""
    await migrate(settings.database)
    async with opened(settings) as resources:
        await resources.store.prepare()
        at = resources.clock.now()
        async with resources.sessions.begin() as session:
            secret = await seed(session, settings.demo_password.get_secret_value(), at)
            signing = await _callback_secret(session, resources, at) if secret else None
    if secret is not None:
        print(f"platform {PLATFORM[0]} has the secret {secret} (shown this once / 仅显示一次)")
        print(f"platform {PLATFORM[0]} signs with {signing} (shown this once / 仅显示一次)")


async def seed(session: AsyncSession, password: str, at: datetime) -> str | None:
    """Everything in one transaction. Returns the platform's secret if it was made now."""
    await seed_categories(session)
    await seed_deadlines(session)
    await seed_rules(session, at)
    if await session.scalar(select(func.count()).select_from(Person)):
        return None
    report = await seed_reference(session, REFERENCE, at)
    if report.errors:
        raise EmbeddedError(f"the reference district is broken: {report.errors[0]}")
    units = await _seed_units(session)
    for member in CAST:
        await create_person(
            session,
            at=at,
            username=member.username,
            name=member.name,
            holdings=[(member.role, units[member.unit])],
            password=password,
            grid_codes=[member.grid] if member.grid else [],
        )
    code, name, unit = PLATFORM
    _, secret = await create_platform(session, at=at, code=code, name=name, unit_id=units[unit])
    return secret


async def _callback_secret(session: AsyncSession, resources: Resources, at: datetime) -> str:
    """What the demo platform signs its callbacks with."""
    platform = await platform_by_code(session, PLATFORM[0])
    if platform is None:
        raise EmbeddedError(f"the platform {PLATFORM[0]} is missing")
    return await rotate_secret(session, resources.keys, platform.id, None, at)


async def _seed_units(session: AsyncSession) -> dict[str, UUID]:
    units = organisation(await AreaMap.load(session), DISTRICT)
    await session.execute(insert(Unit), [asdict(unit) for unit in units])
    return {unit.code: unit.id for unit in units}
