"""The import of areas: what it refuses, what it writes, what it leaves alone."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.importing import ImportReport, import_areas, seed_reference
from app.areas.locate import AreaMap, Lineage, read_revision
from app.areas.models import Area
from app.areas.queries import area_by_code
from app.core.clock import FakeClock
from tests.areas.conftest import REFERENCE, SQUARES, TREE, collection, square
from tests.conftest import NOON

HEAD = "code,name,level,parent_code\n"
ROOT = HEAD + "620802,崆峒区,district,\n"


async def refuse(
    session: AsyncSession, rows: str | bytes, *geometries: dict[str, Any]
) -> list[tuple[str, int | None, str | None]]:
    """The errors as (problem, line, code), after a look that nothing was written."""
    report = await import_areas(session, rows, geometries, at=NOON)
    assert (report.created, report.changed, report.unchanged) == (0, 0, 0)
    assert await session.scalar(select(func.count()).select_from(Area)) == 0
    assert await read_revision(session) == 0
    assert all(found.zh and found.en for found in report.errors)
    return [(found.problem, found.line, found.code) for found in report.errors]


async def accept(
    session: AsyncSession, rows: str | bytes, *geometries: dict[str, Any], days: int = 0
) -> ImportReport:
    report = await import_areas(session, rows, geometries, at=NOON + timedelta(days=days))
    assert report.errors == ()
    return report


async def current(session: AsyncSession) -> dict[str, tuple[str, str | None]]:
    rows = await session.execute(
        select(Area.code, Area.name, Area.parent_code).where(Area.valid_to.is_(None))
    )
    return {code: (name, parent) for code, name, parent in rows}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (b"\xff\xff\xff", ("bad-encoding", 1, None)),
        ("", ("missing-column", 1, None)),
        ("code,name,level\n1,x,district\n", ("missing-column", 1, None)),
        ("code,name,level,parent_code,name\n", ("duplicate-column", 1, None)),
        (ROOT + "T1,柳湖镇,township\n", ("wrong-cell-count", 3, "T1")),
        (ROOT + 'T1,"柳湖镇,township,620802\n', ("broken-csv", 3, None)),
        (ROOT + "T1,柳湖镇,township,620803\n", ("missing-parent", 3, "T1")),
        (ROOT + "T1,柳湖镇,township,\n", ("wrong-level-order", 3, "T1")),
        (ROOT + "V1,永红村,village,620802\n", ("wrong-level-order", 3, "V1")),
        (ROOT + "G1,网格,grid,G1\n", ("wrong-level-order", 3, "G1")),
        (ROOT + "620802,崆峒,district,\n", ("duplicate-code", 3, "620802")),
        (ROOT + "T1,柳湖镇,town,620802\n", ("bad-value", 3, "T1")),
        (ROOT + "T1,,township,620802\n", ("bad-value", 3, "T1")),
        (ROOT + f"T1,{'名' * 201},township,620802\n", ("bad-value", 3, "T1")),
        (ROOT + "T 1,柳湖镇,township,620802\n", ("bad-value", 3, "T 1")),
        (ROOT + "T1,柳湖\0镇,township,620802\n", ("bad-value", 3, "T1")),
        (HEAD + f"{'6' * 33},崆峒区,district,\n", ("bad-value", 2, "6" * 33)),
        (HEAD[:-1] + ",lon,lat\n620802,崆峒区,district,,106.7,\n", ("half-point", 2, "620802")),
        (HEAD[:-1] + ",lon,lat\n1,崆峒区,district,,106.7,91\n", ("bad-value", 2, "1")),
        (HEAD[:-1] + ",households\n1,崆峒区,district,,-1\n", ("bad-value", 2, "1")),
        (HEAD[:-1] + ",kind\n1,崆峒区,district,,town\n", ("bad-value", 2, "1")),
    ],
)
async def test_a_bad_row_is_told_with_its_line_and_nothing_is_written(
    session: AsyncSession, rows: str | bytes, expected: tuple[str, int | None, str | None]
) -> None:
    assert expected in await refuse(session, rows)


async def test_all_errors_are_told_at_once_without_followers(session: AsyncSession) -> None:
    rows = ROOT + "T1,柳湖镇,town,620802\nV1,永红村,village,T1\nV2,柳湖村,village,T9\n"
    found = await refuse(session, rows, square("T1", 106, 35), square("X", 107, 35))
    # V1 and T1's polygon are right once T1's row is
    assert found == [
        ("bad-value", 3, "T1"),
        ("unknown-code", None, "X"),
        ("missing-parent", 5, "V2"),
    ]


CLOSED = [[106.0, 35.0], [106.1, 35.0], [106.1, 35.1], [106.0, 35.0]]


@pytest.mark.parametrize(
    ("geometry", "problem"),
    [
        (None, "broken-polygon"),
        ({"type": "Point", "coordinates": [106, 35]}, "broken-polygon"),
        ({"type": "Polygon"}, "broken-polygon"),
        ({"type": "Polygon", "coordinates": []}, "broken-polygon"),
        ({"type": "Polygon", "coordinates": [[]]}, "broken-polygon"),
        ({"type": "Polygon", "coordinates": [CLOSED, [[1]]]}, "broken-polygon"),
        ({"type": "Polygon", "coordinates": [CLOSED[:3]]}, "ring-not-closed"),
        ({"type": "Polygon", "coordinates": [[CLOSED[0], CLOSED[1], CLOSED[0]]]}, "broken-polygon"),
        (
            {"type": "Polygon", "coordinates": [[[35, 106], [35, 107], [36, 107], [35, 106]]]},
            "broken-polygon",
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}, "broken-polygon"),
        (
            {"type": "Polygon", "coordinates": [[["x", 0], [1, 1], [2, 0], ["x", 0]]]},
            "broken-polygon",
        ),
        ({"type": "MultiPolygon", "coordinates": []}, "broken-polygon"),
        ({"type": "MultiPolygon", "coordinates": [[CLOSED[:3]]]}, "ring-not-closed"),
    ],
)
async def test_a_bad_polygon_is_told_and_nothing_is_written(
    session: AsyncSession, geometry: dict[str, Any] | None, problem: str
) -> None:
    feature = {"type": "Feature", "properties": {"code": "620802"}, "geometry": geometry}
    report = await import_areas(session, ROOT, [collection(feature)], at=NOON)
    assert [(f.problem, f.code, f.feature) for f in report.errors] == [
        (problem, "620802", "/0/features/0")
    ]
    assert await session.scalar(select(func.count()).select_from(Area)) == 0


async def test_geojson_that_names_nothing_is_refused(session: AsyncSession) -> None:
    nameless = {"type": "Feature", "properties": None, "geometry": None}
    twice = collection(square("620802", 106, 35), square("620802", 106, 35))
    half = square("620802", 106, 35, lon=106.0)
    for file, problem in [
        ({"type": "Topology"}, "not-geojson"),
        (collection({"type": "Polygon"}), "not-geojson"),
        (nameless, "feature-without-code"),
        (twice, "duplicate-polygon"),
        (half, "half-point"),
        (square("620802", 106, 35, households="many"), "bad-value"),
    ]:
        assert [found[0] for found in await refuse(session, ROOT, file)] == [problem]


async def test_a_row_that_pulls_the_parent_from_under_others_is_refused(
    session: AsyncSession,
) -> None:
    await accept(session, TREE, SQUARES)
    report = await import_areas(session, HEAD + "V1,永红,township,620802\n", at=NOON)
    assert {(found.problem, found.code) for found in report.errors} == {
        ("wrong-level-order", "G1"),
        ("wrong-level-order", "G2"),
    }
    assert (await area_by_code(session, "V1")).level == "village"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_offices_encodings_are_read(session: AsyncSession, encoding: str) -> None:
    assert (await accept(session, TREE.encode(encoding))).created == 9
    assert (await current(session))["V1"] == ("永红村", "T1")


async def test_a_self_intersection_is_repaired_with_a_warning(session: AsyncSession) -> None:
    bow = square("620802", 106, 35, 0.1)
    ring = bow["geometry"]["coordinates"][0]
    ring[1], ring[2] = ring[2], ring[1]
    report = await accept(session, ROOT, bow)
    assert [(f.problem, f.code) for f in report.warnings] == [
        ("self-intersection-repaired", "620802")
    ]
    area = await area_by_code(session, "620802")
    assert area.geometry is not None
    assert area.geometry["type"] == "MultiPolygon"
    assert (await accept(session, ROOT, bow)).unchanged == 1


async def test_the_size_rule_only_warns(session: AsyncSession) -> None:
    head = "code,name,level,parent_code,households,population\n"
    rows = head + "".join(f"{line},,\n" for line in TREE.splitlines()[1:6])
    rows += "G1,甲,grid,V1,301,\nG2,乙,grid,V1,300,1000\nG3,丙,grid,V1,1,1001\n"
    report = await accept(session, rows)
    assert [(f.problem, f.line, f.code) for f in report.warnings] == [
        ("grid-too-large", 7, "G1"),
        ("grid-too-large", 9, "G3"),
    ]
    assert report.created == 8


async def test_an_unknown_column_is_told_and_ignored(session: AsyncSession) -> None:
    report = await accept(session, HEAD[:-1] + ",house_holds\n1,崆峒区,district,,5\n")
    assert [found.problem for found in report.warnings] == ["unknown-column"]


async def test_a_change_ends_the_version_and_opens_a_new_one(session: AsyncSession) -> None:
    await accept(session, TREE, SQUARES)
    before = await area_by_code(session, "G1")
    renamed = TREE.replace("永红村第1网格", "永红村东网格")
    report = await accept(session, renamed, days=1)
    assert (report.created, report.changed, report.unchanged) == (0, 1, 8)
    after = await area_by_code(session, "G1")
    assert (after.name, after.valid_from) == ("永红村东网格", NOON + timedelta(days=1))
    assert after.geometry == before.geometry
    old = await area_by_code(session, "G1", NOON + timedelta(hours=23))
    await session.refresh(old)
    assert (old.id, old.name, old.valid_to) == (before.id, "永红村第1网格", after.valid_from)
    assert after.id != old.id


async def test_what_is_not_said_stays(session: AsyncSession) -> None:
    await accept(session, TREE, SQUARES, square("T1", 106.6, 35.5, 0.2, households=9))
    report = await accept(session, HEAD + "T1,柳湖镇,township,620802\n", days=1)
    assert (report.changed, report.unchanged) == (0, 1)
    assert len(await current(session)) == 9
    moved = collection(square("G1", 106.66, 35.53, households=120, kind="rural"))
    assert (await accept(session, HEAD, moved, days=2)).changed == 1
    grid = await area_by_code(session, "G1")
    assert (grid.name, grid.households, grid.kind) == ("永红村第1网格", 120, "rural")
    assert (grid.lon, grid.lat) == (106.665, 35.535)


async def test_a_clock_that_was_set_back_keeps_versions_in_order(session: AsyncSession) -> None:
    await accept(session, TREE)
    await accept(session, TREE.replace("永红村,", "永红新村,"), days=-1)
    versions = (await session.scalars(select(Area).where(Area.code == "V1"))).all()
    assert all(v.valid_to is None or v.valid_to >= v.valid_from for v in versions)
    assert (await area_by_code(session, "V1", NOON)).name == "永红新村"


async def test_the_revision_moves_only_with_a_change(session: AsyncSession) -> None:
    await accept(session, TREE)
    assert await read_revision(session) == 1
    await accept(session, TREE)
    assert await read_revision(session) == 1
    await accept(session, TREE.replace("永红村,", "永红新村,"))
    assert await read_revision(session) == 2


async def test_progress_is_told_up_to_the_total(session: AsyncSession) -> None:
    told: list[tuple[int, int]] = []

    async def listen(done: int, total: int) -> None:
        told.append((done, total))

    await import_areas(session, TREE, at=NOON, progress=listen)
    assert told == [(0, 9), (9, 9)]


async def test_the_reference_district_is_seeded_once(
    session: AsyncSession, clock: FakeClock
) -> None:
    report = await seed_reference(session, REFERENCE, clock.now())
    assert (report.created, report.errors) == (1822, ())
    assert {found.problem for found in report.warnings} == {"grid-too-large"}
    again = await seed_reference(session, REFERENCE, clock.now())
    assert (again.created, again.changed, again.unchanged) == (0, 0, 1822)
    areas = await AreaMap.load(session)
    assert len(areas) == 1822
    levels = [areas.get(code) for code in areas.subtree("620802")]
    counts = [sum(n is not None and n.level == name for n in levels) for name in LEVELS]
    assert counts == [1, 21, 277, 1523]
    grid = areas.grid_at(106.67624, 35.53036)
    assert areas.lineage(grid.grid_code or "") == Lineage(
        district="620802",
        township="620802001",
        village="620802001001",
        grid="620802001001001",
    )


LEVELS = ("district", "township", "village", "grid")


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    imports=st.lists(
        st.dictionaries(
            st.sampled_from(["V1", "V2", "G1", "G2", "G3"]), st.sampled_from("甲乙丙"), min_size=1
        ),
        max_size=5,
    )
)
async def test_f31_every_instant_keeps_the_version_it_had(
    session: AsyncSession, imports: list[dict[str, str]]
) -> None:
    """Renamed and split areas: the past never changes, one version at a time, no orphan."""
    savepoint = await session.begin_nested()
    await accept(session, TREE)
    expected = [await current(session)]
    for day, names in enumerate(imports, start=1):
        rows = HEAD
        for code, (_, parent) in expected[0].items():
            if code in names:
                level = "village" if code.startswith("V") else "grid"
                rows += f"{code},{names[code]},{level},{parent}\n"
        # a split: a new grid beside the old ones
        await accept(session, rows + f"N{day},新网格,grid,V1\n", days=day)
        expected.append(await current(session))
    session.expunge_all()
    for day, then in enumerate(expected):
        for code, (name, parent) in then.items():
            area = await area_by_code(session, code, NOON + timedelta(days=day, hours=1))
            assert (area.name, area.parent_code) == (name, parent)
            assert parent is None or parent in then
    await savepoint.rollback()
