"""Rules brought together with the units and staff of today: who has a matter of this place."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.accounts.permissions import Role
from app.accounts.queries import among, staff_of
from app.core.db import one_of
from app.routing.rules import UPWARD, Choice, Facts, Rule, choose


class Matter(Protocol):
    """What a choice asks of an incident, or of one that is only imagined."""

    category: Any
    root: Any
    urgency: Any
    sealed: Any
    grid_code: Any
    village_code: Any
    township_code: Any
    district_code: Any


@dataclass(slots=True)
class Imagined:
    category: str
    root: str
    urgency: str
    sealed: bool
    grid_code: str | None
    village_code: str | None
    township_code: str | None
    district_code: str


def lineage_of(matter: Matter) -> tuple[str, ...]:
    """Codes of its areas, the finest first."""
    codes = (matter.grid_code, matter.village_code, matter.township_code, matter.district_code)
    return tuple(code for code in codes if code)


class Board:
    """The units that may have these matters, and which of them have somebody who can act."""

    def __init__(self, units: Iterable[Unit], staffed: frozenset[UUID]) -> None:
        self.units = {unit.id: unit for unit in units}
        self._staffed = staffed
        self._named = {unit.code: unit for unit in self.units.values()}
        self._centres: defaultdict[str, list[Unit]] = defaultdict(list)
        for unit in self.units.values():
            if unit.kind == "centre":
                self._centres[unit.area_code].append(unit)

    @classmethod
    async def load(
        cls,
        session: AsyncSession,
        areas: Collection[str],
        rules: Sequence[Rule],
        desks: Collection[UUID] = (),
    ) -> "Board":
        """Centres of the areas, units that rules name, and the duty desks, active or not."""
        named = {rule.unit_code for rule in rules if rule.unit_code}
        rows = await session.scalars(
            select(Unit)
            .where(
                or_(
                    among(Unit.area_code, areas),
                    among(Unit.code, named),
                    one_of(Unit.id, sorted(desks)),
                ),
                or_(Unit.kind == "centre", among(Unit.code, named)),
                or_(Unit.active, one_of(Unit.id, sorted(desks))),
            )
            # several centres of one area: always the same one of them
            .order_by(Unit.code.desc())
        )
        units = rows.all()
        return cls(units, await _staffed(session, units))

    def choose(
        self, matter: Matter, rules: Sequence[Rule], at: time, desk: UUID | None = None
    ) -> Choice:
        """`at`: local time of day. `desk`: who has it where nobody else can; else the nearest."""
        own = self._own(matter)
        owner = desk or next((own[level].id for level in UPWARD if level in own), None)
        if owner is None:
            raise LookupError("no centre above this place")
        facts = Facts(
            category=matter.category,
            root=matter.root,
            urgency=matter.urgency,
            areas=frozenset(lineage_of(matter)),
            local_time=at,
            sealed=matter.sealed,
            owner_unit_id=owner,
        )
        return choose(rules, facts, own, self._named, self._staffed)

    def _own(self, matter: Matter) -> Mapping[str, Unit]:
        codes = lineage_of(matter)[::-1]
        return {unit.level: unit for code in codes for unit in self._centres.get(code, ())}


async def _staffed(session: AsyncSession, units: Sequence[Unit]) -> frozenset[UUID]:
    """Centres with a dispatcher, departments with a handler."""
    staffed: set[UUID] = set()
    for kind, role in (("centre", Role.DISPATCHER), ("department", Role.HANDLER)):
        ids = [unit.id for unit in units if unit.kind == kind]
        if ids:
            staff = await staff_of(session, ids, [role])
            staffed |= {unit_id for unit_id, people in staff.items() if people}
    return frozenset(staffed)
