"""Lists read way by way what exists for a caller matter by matter: the same, whoever asks."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from app.accounts.enrolment import create_platform
from app.accounts.permissions import Role
from app.incidents.list_models import IncidentWords, Sight
from app.incidents.models import Incident
from tests.conftest import NOON
from tests.district import (
    LIUHU,
    POLICE_LIUHU,
    YONGHONG,
    YONGHONG_GRID,
    DatabaseServer,
    District,
)
from tests.incidents.paths import (
    ACCEPT,
    COMPLETE,
    DESK,
    DISPATCH,
    LEADER,
    OUTSIDER,
    POLICE,
    SEALED,
    SIGN,
    TOP,
    TOWNSHIP,
    UP,
    WORKER,
    Move,
    found_unit,
    hire,
    incident_in,
    pass_time,
    person_id,
    rows_of,
    signed_in,
    walk,
)
from tests.incidents.seeing import caller_of, seen_by

JUSTICE, XIJIAO = "620802105-justice", "620802003"
HIRED: dict[str, tuple[tuple[Role, str], ...]] = {
    "police-2": ((Role.HANDLER, POLICE_LIUHU),),
    "justice": ((Role.HANDLER, JUSTICE),),
    "township-handler": ((Role.HANDLER, LIUHU),),
    "manager": ((Role.GRID_MANAGER, LIUHU),),
    "manager-of-police": ((Role.GRID_MANAGER, POLICE_LIUHU),),
    "desk-xijiao": ((Role.DISPATCHER, XIJIAO),),
    "two-desks": ((Role.DISPATCHER, XIJIAO), (Role.HANDLER, POLICE_LIUHU)),
    "manager-at-hand": ((Role.GRID_MANAGER, LIUHU), (Role.HANDLER, LIUHU)),
    "colleague": ((Role.GRID_WORKER, YONGHONG),),
    "newcomer": (),
}
PLATFORM, SECRET = "platform-police", "a-secret-of-a-platform-1"
OFFICIALS = ("auditor", "security", "admin")
CAST = (
    *(WORKER, DESK, TOWNSHIP, POLICE, TOP, LEADER, OUTSIDER, PLATFORM),
    *(*OFFICIALS, *HIRED),
)
TIP: tuple[Move, ...] = (UP, ACCEPT, DISPATCH, SIGN)


class Town:
    """Matters that somebody sees for every reason there is, by name."""

    def __init__(self, district: District) -> None:
        self.district = district
        self.matters: dict[str, str] = {}

    async def seen(self, who: str) -> set[str]:
        """The names of what this person sees, after everybody's question has been compared."""
        caller = await caller_of(self.district, await self.client(who))
        ids = await seen_by(self.district, caller)
        return {name for name, each in self.matters.items() if each in ids}

    async def client(self, who: str) -> httpx.AsyncClient:
        if who != PLATFORM:
            return await signed_in(self.district, who)
        client = self.district.anonymous()
        form = {"grant_type": "client_credentials", "client_id": who, "client_secret": SECRET}
        token = (await client.post("/v1/token", data=form)).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        return client

    async def build(self) -> None:
        district = self.district
        for who, held in HIRED.items():
            grids = (YONGHONG_GRID,) if who == "colleague" else ()
            await hire(district, who, *held, grid_codes=grids)
        async with district.resources.sessions.begin() as session:
            police = await found_unit(session, POLICE_LIUHU)
            await create_platform(
                session, at=NOON, code=PLATFORM, name=PLATFORM, unit_id=police.id, secret=SECRET
            )
        await self._let_lie()
        for state in ("submitted", "in_progress", "rejected", "merged", "suspended"):
            self.matters[state] = await incident_in(district, state)
        place = {"grid_code": "620802003007001"}
        self.matters["next door"] = await self._report(OUTSIDER, place=place)
        await self._open_ones()
        await self._tips()

    async def _report(self, who: str = WORKER, *moves: Move, **changes: Any) -> str:
        incident: str = (await self.district.report(who, **changes))["id"]
        await walk(self.district, incident, *moves)
        return incident

    async def _open_ones(self) -> None:
        """Assisted, informed, informed and given a step, informed of and sealed afterwards."""
        asks, informs = (POLICE, "assist", {"to_unit": JUSTICE}), (TOWNSHIP, "inform")
        self.matters["assisted"] = await self._report(WORKER, *TIP, asks)
        self.matters["assisted once"] = await self._report(WORKER, *TIP, asks, COMPLETE)
        for name in ("informed", "informed and sealed"):
            telling = (*informs, {"to_unit": JUSTICE})
            self.matters[name] = await self._report(WORKER, *TIP, telling)
        first, second = (*informs, {"to_unit": JUSTICE}), (POLICE, "assist", {"to_unit": JUSTICE})
        self.matters["informed, then assisting"] = await self._report(WORKER, *TIP, first, second)
        abroad = (*informs, {"to_unit": XIJIAO})
        self.matters["informed abroad"] = await self._report(WORKER, *TIP, abroad)
        self.matters["typed in"] = await self._report(WORKER)
        async with self.district.resources.sessions.begin() as session:
            await session.execute(
                update(Incident)
                .where(Incident.id == self.matters["informed and sealed"])
                .values(sealed=True)
            )
            await session.execute(
                update(Incident)
                .where(Incident.id == self.matters["typed in"])
                .values(entered_by=await person_id(self.district, OUTSIDER))
            )

    async def _tips(self) -> None:
        asks = (POLICE, "assist", {"to_unit": JUSTICE})
        here: tuple[Move, ...] = ((DESK, "accept", {}), (DESK, "handle_here", {}))
        done = (DESK, "complete", {"outcome": "已劝阻"})
        for name, moves in {
            "tip": TIP,
            "tip assisted": (*TIP, asks),
            "tip with a list": TIP,
            "tip behind glass": TIP,
            "tip listed and glass": TIP,
            "tip to verify": (*here, done),
            "tip at the village": here,
        }.items():
            self.matters[name] = await self._report(WORKER, *moves, **SEALED)
        for name in ("tip behind glass", "tip listed and glass"):
            await self._break_glass(TOP, name)
            await self._break_glass(LEADER, name)
        for name in ("tip with a list", "tip listed and glass"):
            people = [str(await person_id(self.district, POLICE))]
            await self._ask(TOWNSHIP, f"{self.matters[name]}/clearances", people=people)
        await self._break_glass(TOP, "tip listed and glass")
        asked = (DESK, "request_extension", {"days": 1, "reason": "取证"})
        self.matters["tip with an extension"] = await self._report(WORKER, *here, asked, **SEALED)

    async def _break_glass(self, who: str, name: str) -> None:
        shown = (
            await (await self.client(WORKER)).get(f"/v1/incidents/{self.matters[name]}")
        ).json()
        await self._ask(who, "break-glass", number=shown["number"], reason="案情紧急，须立即核查")

    async def _ask(self, who: str, path: str, **body: Any) -> None:
        answer = await (await self.client(who)).post(f"/v1/incidents/{path}", json=body)
        assert answer.is_success, answer.text

    async def _let_lie(self) -> None:
        """A tip that the township has let lie until the district may act in its place."""
        lain = await self._report(WORKER, UP, ACCEPT, **SEALED)
        while (await rows_of(self.district, lain)).current[0].stand_in_unit_id is None:
            await pass_time(self.district, timedelta(days=1))
        self.matters["tip let lie"] = lain


@pytest.fixture(scope="module")
async def town(server: DatabaseServer, district_template: str) -> AsyncIterator[Town]:
    name = server.create(template=district_template)
    async with District.opened(server.url(name), NOON) as district:
        town = Town(district)
        await town.build()
        yield town
    server.drop(name)


@pytest.mark.parametrize("who", CAST)
async def test_h5_every_way_together_shows_what_exists_one_by_one(town: Town, who: str) -> None:
    seen = await town.seen(who)
    assert seen == await town.seen(who)
    assert bool(seen) == (who not in {*OFFICIALS, "manager-of-police", "newcomer"})


async def test_each_reason_to_see_a_matter_is_among_them(town: Town) -> None:
    seen = {who: await town.seen(who) for who in CAST}
    sealed = {name for name in town.matters if name.startswith("tip")}
    assert seen[WORKER] == set(town.matters) - {"next door"}
    open_ones = set(town.matters) - sealed - {"informed and sealed"}
    assert seen["colleague"] == seen["manager"] == open_ones - {"next door"}
    assert seen[LEADER] - open_ones == {"tip behind glass"}
    assert seen[TOP] - open_ones == {"tip behind glass", "tip listed and glass", "tip let lie"}
    assert seen[OUTSIDER] == {"next door", "typed in"}
    helped = {"assisted", "assisted once", "informed, then assisting"}
    assert seen["justice"] == helped | {"informed", "tip assisted"}
    assert seen["desk-xijiao"] == {"next door", "informed abroad"}
    listed = {"tip with a list", "tip listed and glass"}
    assert seen[POLICE] - seen["police-2"] == listed
    assert seen["two-desks"] == seen["police-2"] | seen["desk-xijiao"]
    assert seen["police-2"] - open_ones == {
        "tip",
        "tip assisted",
        "tip behind glass",
        "informed and sealed",
    }
    assert seen[PLATFORM] == seen["police-2"] & open_ones
    assert seen[TOWNSHIP] & sealed == sealed - {"tip at the village"}
    assert seen[DESK] >= sealed
    assert seen["manager-at-hand"] == seen["manager"] | seen["township-handler"]
    assert seen["manager-at-hand"] - seen["manager"] == seen["township-handler"] - open_ones


async def test_lists_and_counts_hold_the_same(town: Town) -> None:
    for who in CAST:
        client = await town.client(who)
        answer = await client.get("/v1/incidents", params={"limit": 200})
        if who in OFFICIALS or who == "newcomer":
            assert answer.status_code == httpx.codes.FORBIDDEN
            continue
        listed = [item["id"] for item in answer.json()["items"]]
        assert len(listed) == len(set(listed))
        seen = await town.seen(who)
        assert {town.matters[name] for name in seen} <= set(listed)
        count = (await client.get("/v1/incidents/count")).json()
        assert count == {"count": len(listed), "more": False}


async def test_no_sealed_matter_has_words_to_be_found_by(town: Town) -> None:
    async with town.district.resources.sessions.read() as session:
        words = await session.scalar(
            select(func.count())
            .select_from(IncidentWords)
            .join(Incident, Incident.id == IncidentWords.incident_id)
            .where(Incident.sealed)
        )
        others = await session.scalar(select(func.count()).select_from(IncidentWords))
        told = await session.scalars(select(Sight.informed).distinct())
    assert (words, bool(others)) == (0, True)
    assert set(told) == {True, False}
