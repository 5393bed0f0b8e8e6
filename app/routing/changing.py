"""Writing a rule set: whole, checked, audited; what stood before it is kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.accounts.queries import among
from app.areas.locate import AreaMap
from app.categories.errors import CategoryUnknown
from app.categories.queries import CategoryTree
from app.categories.tags import demand
from app.core import audit
from app.core.errors import Language, ValidationFailed
from app.core.validation import explain
from app.routing.errors import RuleSetNotDraft, RuleSetNotFound
from app.routing.models import RoutingRule, RuleSet
from app.routing.queries import newest_version, rules_of, set_in_force
from app.routing.schemas import (
    NewRule,
    RuleSetChange,
    RuleSetPage,
    RuleSetState,
    RuleView,
    RuleWarning,
)
from app.routing.shadowing import never_matching

_NEVER: Mapping[Language, str] = {
    "zh-CN": "前面的规则已覆盖该规则的全部情形，它永远不会生效",
    "en": "The rules before it take everything it asks for: it can never match",
}


class Catalogues:
    """What rules may name: categories, areas, units."""

    def __init__(self, tree: CategoryTree, areas: AreaMap, language: Language) -> None:
        self._tree, self._areas, self._language = tree, areas, language

    def warnings(self, rules: Sequence[Any]) -> list[RuleWarning]:
        """Rules that can never match."""
        return [
            RuleWarning(
                pointer=f"/rules/{position}",
                code="never-matches",
                message=_NEVER[self._language],
            )
            for position in never_matching(rules, self._kinds_above, self._areas_above)
        ]

    async def check(self, session: AsyncSession, rules: Sequence[NewRule]) -> None:
        """Raises ValidationFailed with a pointer to each name that nobody knows."""
        wanted = {rule.unit_code for rule in rules if rule.unit_code}
        rows = await session.scalars(select(Unit.code).where(Unit.active, among(Unit.code, wanted)))
        units = frozenset(rows)
        found = [
            _unknown(("rules", position, field), code)
            for position, rule in enumerate(rules)
            for field, code, known in (
                ("category", rule.category, self._knows_category(rule.category)),
                ("area_code", rule.area_code, self._areas.get(rule.area_code or "") is not None),
                ("unit_code", rule.unit_code, rule.unit_code in units),
            )
            if code is not None and not known
        ]
        if found:
            raise ValidationFailed(errors=explain(found, self._language))

    def too_late(self) -> ValidationFailed:
        finding = {
            "type": "in_the_past",
            "loc": ("body", "valid_from"),
            "msg": "A rule set can't begin in the past",
            "ctx": {"zh": "规则不能从过去的时间开始生效"},
        }
        return ValidationFailed(errors=explain([finding], self._language))

    def _knows_category(self, code: str | None) -> bool:
        try:
            return code is not None and bool(self._tree.reportable(code))
        except CategoryUnknown:
            return False

    def _kinds_above(self, code: str) -> frozenset[str]:
        """The code and its root: what `matches` compares a category with."""
        if self._tree.get(code) is None:
            return frozenset({code})
        return frozenset({code, self._tree.root_of(code)})

    def _areas_above(self, code: str) -> frozenset[str]:
        line = self._areas.lineage(code)
        names = ("province", "city", "district", "township", "village", "grid")
        return frozenset({code, *filter(None, (getattr(line, name) for name in names))})


def _unknown(where: tuple[Any, ...], code: str) -> dict[str, Any]:
    return {
        "type": "unknown_code",
        "loc": ("body", *where),
        "msg": f"Nobody knows {code}",
        "ctx": {"zh": "代码 {named} 不存在或已停用", "named": code},
    }


async def read_set(
    session: AsyncSession, catalogues: Catalogues, at: datetime, version: int | None = None
) -> RuleSetPage:
    """A version, or the one in force. Raises RuleSetNotFound."""
    standing = await set_in_force(session, at)
    shown = standing if version is None else await session.get(RuleSet, version)
    if shown is None:
        raise RuleSetNotFound
    rules = await rules_of(session, shown.version)
    return RuleSetPage(
        items=[RuleView.model_validate(rule) for rule in rules],
        version=shown.version,
        newest_version=await newest_version(session),
        state=state_of(shown, standing, at),
        valid_from=shown.valid_from,
        note=shown.note,
        warnings=catalogues.warnings(rules),
    )


def state_of(rule_set: RuleSet, in_force: RuleSet | None, at: datetime) -> RuleSetState:
    if rule_set.valid_from is None:
        return "draft"
    if rule_set.valid_from > at:
        return "scheduled"
    is_current = in_force is not None and in_force.version == rule_set.version
    return "active" if is_current else "superseded"


async def write_set(
    session: AsyncSession,
    wanted: RuleSetChange,
    seen: str | None,
    catalogues: Catalogues,
    *,
    actor_id: UUID,
    at: datetime,
) -> RuleSetPage:
    """The next version. `seen`: the tag of the set in force as the writer read it.

    Raises RevisionRequired, RevisionStale, ValidationFailed.
    """
    await _take_turn(session)
    standing = await set_in_force(session, at)
    demand(seen, await read_set(session, catalogues, at) if standing else None)
    await catalogues.check(session, wanted.rules)
    if wanted.valid_from is not None and wanted.valid_from < at:
        raise catalogues.too_late()
    version = await newest_version(session) + 1
    written = RuleSet(
        version=version,
        valid_from=None if wanted.draft else wanted.valid_from or at,
        note=wanted.note,
        created_by=actor_id,
        created_at=at,
    )
    session.add(written)
    await session.flush()
    session.add_all(
        RoutingRule(version=version, position=position, created_at=at, **rule.model_dump())
        for position, rule in enumerate(wanted.rules, start=1)
    )
    await session.flush()
    await _note(session, "routing_rules.written", written, actor_id, at, rules=len(wanted.rules))
    return await read_set(session, catalogues, at, version)


async def activate_set(
    session: AsyncSession,
    version: int,
    valid_from: datetime | None,
    catalogues: Catalogues,
    *,
    actor_id: UUID,
    at: datetime,
) -> RuleSetPage:
    """A draft gets its moment. Raises RuleSetNotFound, RuleSetNotDraft, ValidationFailed."""
    await _take_turn(session)
    draft = await session.get(RuleSet, version, populate_existing=True)
    if draft is None:
        raise RuleSetNotFound
    if draft.valid_from is not None:
        raise RuleSetNotDraft(version=version)
    if valid_from is not None and valid_from < at:
        raise catalogues.too_late()
    # what it names may have gone since it was written
    rules = [_as_new(rule) for rule in await rules_of(session, version)]
    await catalogues.check(session, rules)
    draft.valid_from = valid_from or at
    await session.flush()
    await _note(session, "routing_rules.activated", draft, actor_id, at)
    return await read_set(session, catalogues, at, version)


def _as_new(rule: RoutingRule) -> NewRule:
    return NewRule(**{name: getattr(rule, name) for name in NewRule.model_fields})


async def _take_turn(session: AsyncSession) -> None:
    """Writers one after the other, so that the second one sees what the first has written."""
    first = select(RuleSet.version).order_by(RuleSet.version).limit(1)
    await session.execute(first.with_for_update())


async def _note(
    session: AsyncSession,
    action: str,
    rule_set: RuleSet,
    actor_id: UUID,
    at: datetime,
    **facts: Any,  # noqa: ANN401 - any JSON facts
) -> None:
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action=action,
        target=("routing_rules", rule_set.version),
        valid_from=to_jsonable_python(rule_set.valid_from),
        **facts,
    )
