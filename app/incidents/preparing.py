"""Everything about a report that can be refused before its files are taken in."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.models import Person, RoleHolding, Unit
from app.accounts.permissions import Role
from app.accounts.scope import area_roots, reaches
from app.areas.locate import AreaMap, current_map
from app.categories.queries import current_tree
from app.core.resources import Resources
from app.incidents.errors import ReporterUnknown
from app.incidents.placing import Placed, place_report
from app.incidents.schemas import ManifestFile, NewIncident

_PROXIES = (Role.GRID_MANAGER, Role.DISPATCHER)


@dataclass(frozen=True, slots=True)
class Prepared:
    new: NewIncident
    placed: Placed
    root: str
    sealed: bool
    reporter_id: UUID

    @property
    def files(self) -> list[ManifestFile]:
        return self.new.attachments


async def prepare(resources: Resources, caller: Caller, new: NewIncident) -> Prepared:
    """Raises CategoryUnknown, PlaceUnknown, ReporterUnknown. Holds no connection afterwards."""
    tree = await current_tree(resources)
    category = tree.reportable(new.category)
    areas = await current_map(resources)
    placed = place_report(areas, caller, new.place)
    if new.reported_for is not None and new.reported_for != caller.id:
        async with resources.sessions.read() as session:
            await _check_colleague(session, caller, new.reported_for, areas)
    return Prepared(
        new=new,
        placed=placed,
        root=tree.root_of(category.code),
        sealed=tree.is_sealed(category.code),
        reporter_id=new.reported_for or caller.id,
    )


async def _check_colleague(
    session: AsyncSession, caller: Caller, person_id: UUID, areas: AreaMap
) -> None:
    """代录 is for grid managers and dispatchers, and for people who work below them."""
    roots = area_roots(caller.holdings, _PROXIES)
    places = await session.scalars(
        select(Unit.area_code)
        .join(RoleHolding, RoleHolding.unit_id == Unit.id)
        .join(Person, Person.id == RoleHolding.person_id)
        .where(Person.id == person_id, Person.state == "active")
    )
    if not any(reaches(areas, roots, code) for code in places):
        raise ReporterUnknown
