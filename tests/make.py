"""Builders: a small district with its cast, for the tests of every feature."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.enrolment import create_person, create_platform, create_unit
from app.accounts.hashing import hash_secret
from app.accounts.models import FormerPassword, LoginSession, Person, Platform, Unit
from app.accounts.permissions import Role
from app.accounts.recognition import load_caller
from app.areas.models import Area
from app.core.db import new_id

AT = datetime(2026, 3, 11, 3, 0, tzinfo=UTC)
"""When the district was set up: an hour before the tests' noon."""
PASSWORD = "Etong-demo-1"

AREAS = (
    ("620802", "崆峒区", "district", None),
    ("620802105", "柳湖镇", "township", "620802"),
    ("620802105201", "永红村", "village", "620802105"),
    ("620802105201001", "永红村第1网格", "grid", "620802105201"),
    ("620802105201002", "永红村第2网格", "grid", "620802105201"),
    ("620802002", "西郊街道", "township", "620802"),
    ("620802002001", "民馨家园", "village", "620802002"),
    ("620802002001001", "民馨家园第1网格", "grid", "620802002001"),
)
DISTRICT, LIUHU, YONGHONG, YONGHONG_GRID = "620802", "620802105", "620802105201", "620802105201001"
XIJIAO, MINXIN, MINXIN_GRID = "620802002", "620802002001", "620802002001001"

_serial = count(1)


@cache
def password_hash(password: str) -> str:
    return hash_secret(password)


async def make_areas(session: AsyncSession) -> None:
    """崆峒区 with two townships, a village each, and grids; without polygons."""
    for code, name, level, parent in AREAS:
        session.add(Area(code=code, name=name, level=level, parent_code=parent, valid_from=AT))
    await session.flush()


async def make_unit(
    session: AsyncSession,
    *,
    level: str = "village",
    kind: str = "centre",
    area_code: str = YONGHONG,
    parent: Unit | None = None,
    code: str | None = None,
    name: str = "综治中心",
) -> Unit:
    return await create_unit(
        session,
        at=AT,
        code=code or f"unit-{next(_serial)}",
        name=name,
        level=level,
        kind=kind,
        area_code=area_code,
        parent_id=parent.id if parent else None,
    )


async def make_person(
    session: AsyncSession,
    *held: tuple[Role, Unit],
    username: str | None = None,
    name: str = "张三",
    grid_codes: Sequence[str] = (),
) -> Person:
    """Somebody with roles who signs in with PASSWORD (hashed once for all of them)."""
    person = await create_person(
        session,
        at=AT,
        username=username or f"person-{next(_serial)}",
        name=name,
        holdings=[(role, unit.id) for role, unit in held],
        grid_codes=grid_codes,
    )
    person.password_hash = password_hash(PASSWORD)
    session.add(FormerPassword(person_id=person.id, password_hash=person.password_hash, set_at=AT))
    await session.flush()
    return person


async def make_caller(session: AsyncSession, person: Person, now: datetime = AT) -> Caller:
    """The person as a signed-in caller, for calling an activity directly."""
    login = LoginSession(
        id=new_id(),
        person_id=person.id,
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(days=30),
    )
    session.add(login)
    await session.flush()
    return await load_caller(session, login.id, now)


@dataclass(frozen=True)
class Cast:
    """Units and people of the demo, and a security officer on every level."""

    district: Unit
    township: Unit
    village: Unit
    police: Unit
    other_township: Unit
    other_village: Unit

    worker: Person
    other_worker: Person
    village_desk: Person
    township_desk: Person
    handler: Person
    district_desk: Person
    supervisor: Person
    auditor: Person
    admin: Person
    security: Person
    township_security: Person
    platform: Platform
    platform_secret: str


async def make_cast(session: AsyncSession) -> Cast:
    """Areas, units and people; user names are those of the demo."""
    await make_areas(session)
    district = await make_unit(session, level="district", area_code=DISTRICT, code="kongtong")
    township = await make_unit(
        session, level="township", area_code=LIUHU, parent=district, code="liuhu"
    )
    village = await make_unit(session, area_code=YONGHONG, parent=township, code="yonghong")
    police = await make_unit(
        session,
        level="township",
        kind="department",
        area_code=LIUHU,
        parent=township,
        code="police-liuhu",
        name="柳湖派出所",
    )
    other_township = await make_unit(
        session, level="township", area_code=XIJIAO, parent=district, code="xijiao"
    )
    other_village = await make_unit(session, area_code=MINXIN, parent=other_township, code="minxin")
    platform, secret = await create_platform(
        session, at=AT, code="liuhu-platform", name="柳湖镇平台", unit_id=township.id
    )

    async def person(
        username: str, role: Role, unit: Unit, grid_codes: Sequence[str] = ()
    ) -> Person:
        return await make_person(
            session, (role, unit), username=username, name=username, grid_codes=grid_codes
        )

    return Cast(
        district=district,
        township=township,
        village=village,
        police=police,
        other_township=other_township,
        other_village=other_village,
        worker=await person("worker-yonghong", Role.GRID_WORKER, village, [YONGHONG_GRID]),
        other_worker=await person("worker-minxin", Role.GRID_WORKER, other_village, [MINXIN_GRID]),
        village_desk=await person("desk-yonghong", Role.DISPATCHER, village),
        township_desk=await person("desk-liuhu", Role.DISPATCHER, township),
        handler=await person("police-liuhu", Role.HANDLER, police),
        district_desk=await person("desk-kongtong", Role.DISPATCHER, district),
        supervisor=await person("supervisor-kongtong", Role.SUPERVISOR, district),
        auditor=await person("auditor", Role.AUDITOR, district),
        admin=await person("admin", Role.ADMINISTRATOR, district),
        security=await person("security", Role.SECURITY_OFFICER, district),
        township_security=await person("security-liuhu", Role.SECURITY_OFFICER, township),
        platform=platform,
        platform_secret=secret,
    )
