from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.caller import Holding
from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.accounts.scope import area_roots, areas_below, reaches, roles_with
from app.areas.locate import AreaMap, AreaNode
from tests.make import AREAS, DISTRICT, LIUHU, MINXIN_GRID, XIJIAO, YONGHONG, YONGHONG_GRID


def tree() -> AreaMap:
    nodes = [
        AreaNode(code, name, level, parent, None, None, None, None, None, number)  # type: ignore[arg-type]  # a literal
        for number, (code, name, level, parent) in enumerate(AREAS)
    ]
    return AreaMap(nodes, {})


HELD = Holding(
    role=Role.DISPATCHER,
    unit_id=uuid4(),
    unit_code="liuhu",
    unit_name="柳湖镇",
    level="township",
    kind="centre",
    area_code=LIUHU,
)


@pytest.mark.parametrize("area", ["", "nowhere", "62080210", LIUHU + "\0"])
def test_a_role_without_a_known_area_reaches_nothing(area: str) -> None:
    roots = area_roots([replace(HELD, area_code=area)], [Role.DISPATCHER])
    assert areas_below(tree(), roots) == frozenset()
    assert not any(reaches(tree(), roots, code) for code, *_ in AREAS)
    assert not reaches(tree(), roots, None)
    assert not reaches(tree(), roots, area)


def test_a_role_that_is_not_asked_for_reaches_nothing() -> None:
    assert area_roots([HELD], [Role.HANDLER]) == frozenset()
    assert area_roots([HELD], []) == frozenset()


def test_a_role_reaches_its_subtree_and_nothing_beside_or_above() -> None:
    roots = area_roots([HELD], [Role.DISPATCHER])
    assert areas_below(tree(), roots) >= {LIUHU, YONGHONG, YONGHONG_GRID}
    assert areas_below(tree(), roots).isdisjoint({DISTRICT, XIJIAO, MINXIN_GRID})


@given(
    st.sets(st.sampled_from([code for code, *_ in AREAS] + ["", "nowhere"])),
    st.sampled_from([code for code, *_ in AREAS] + ["", "nowhere"]),
)
def test_both_questions_agree(roots: set[str], area: str) -> None:
    assert reaches(tree(), roots, area) == (area in areas_below(tree(), roots))


def test_permissions_name_their_roles() -> None:
    assert roles_with(Permission.MANAGE_PEOPLE) == {Role.SECURITY_OFFICER}
    assert roles_with(Permission.READ_AUDIT) == {Role.AUDITOR}
    assert set(ROLE_PERMISSIONS) == set(Role)


def test_an_administrator_reads_no_matters() -> None:
    assert Permission.READ_INCIDENTS not in ROLE_PERMISSIONS[Role.ADMINISTRATOR]
