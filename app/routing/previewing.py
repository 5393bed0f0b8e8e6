"""Where one report would go, from each grid that it may be of; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.areas.locate import AreaMap, Lineage
from app.categories.queries import CategoryTree
from app.incidents.placing import Placed, place_report
from app.routing.choosing import Board, Imagined, lineage_of
from app.routing.errors import DutyDeskMissing, RuleSetNotFound
from app.routing.models import RoutingRule, RuleSet
from app.routing.queries import current_rules, rules_of
from app.routing.schemas import Preview, PreviewQuery, PreviewView, RoutedUnit


@dataclass(frozen=True, slots=True)
class Scene:
    """What a choice is made from, read once for all candidates."""

    board: Board
    rules: Sequence[RoutingRule]
    local: time


async def preview(
    session: AsyncSession,
    caller: Caller,
    wanted: PreviewQuery,
    tree: CategoryTree,
    areas: AreaMap,
    zone: ZoneInfo,
    now: datetime,
) -> PreviewView:
    """Raises CategoryUnknown, PlaceUnknown, RuleSetNotFound, DutyDeskMissing."""
    category = tree.reportable(wanted.category).code
    root, sealed = tree.root_of(category), tree.is_sealed(category)
    placed = place_report(areas, caller, wanted.place)

    def imagined(line: Lineage) -> Imagined:
        return Imagined(
            category,
            root,
            wanted.urgency,
            sealed,
            line.grid,
            line.village,
            line.township,
            line.district or "",
        )

    here = imagined(placed.lineage)
    others = _others(placed)
    around = {code: imagined(areas.lineage(code)) for code in others}
    at = wanted.at or now
    rules = await _rules(session, wanted.version, at)
    codes = {code for each in (here, *around.values()) for code in lineage_of(each)}
    scene = Scene(await Board.load(session, codes, rules), rules, at.astimezone(zone).time())
    return PreviewView(
        **_shown(scene, here, others.get(here.grid_code or "")).model_dump(),
        grid_uncertain=placed.uncertain,
        candidates=[_shown(scene, each, others[code]) for code, each in around.items()],
    )


def _others(placed: Placed) -> dict[str, float]:
    """Grid → metres, nearest first; the grid it is taken for stands among them."""
    return {str(item["code"]): float(item["distance_m"]) for item in placed.candidates}


async def _rules(session: AsyncSession, version: int | None, at: datetime) -> Sequence[RoutingRule]:
    if version is None:
        return await current_rules(session, at)
    if await session.get(RuleSet, version) is None:
        raise RuleSetNotFound
    return await rules_of(session, version)


def _shown(scene: Scene, matter: Imagined, distance_m: float | None) -> Preview:
    try:
        choice = scene.board.choose(matter, scene.rules, scene.local)
    except LookupError as nobody:
        raise DutyDeskMissing from nobody
    return Preview(
        grid_code=matter.grid_code,
        distance_m=distance_m,
        unit=RoutedUnit.model_validate(scene.board.units[choice.unit_id]),
        rule=choice.rule.name if choice.rule else None,
        rule_version=choice.rule.version if choice.rule else None,
        trace=choice.trace,
    )
