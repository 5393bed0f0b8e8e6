"""Two districts, everybody who can sign in, and for each of them the things that are not theirs."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.enrolment import create_person, create_platform, create_unit
from app.accounts.models import LoginSession, Person, Terminal, Unit
from app.accounts.permissions import Role
from app.areas.models import Area
from app.core.db import new_id
from app.incidents.models import IncidentMedia
from app.incidents.relations import IncidentLink
from app.webhooks.models import Endpoint
from tests.conftest import NOON
from tests.district import LIUHU, PASSWORD, YONGHONG, YONGHONG_GRID, District
from tests.guardrails.story import PICTURE

MARK = "外区机密"
XIJIAO, MINXIN_GRID = "620802003", "620802003007001"
OUTSIDE = (
    ("620899", "外区", "district", None),
    ("620899100", "外镇", "township", "620899"),
    ("620899100200", "外村", "village", "620899100"),
    ("620899100200001", "外村第1网格", "grid", "620899100200"),
)
OUTSIDE_GRID = OUTSIDE[-1][0]
SECRET = "a-secret-of-a-platform-1"

TOWNSHIP = {
    "worker-yonghong": Role.GRID_WORKER,
    "manager-liuhu": Role.GRID_MANAGER,
    "desk-liuhu": Role.DISPATCHER,
    "police-liuhu": Role.HANDLER,
    "security-liuhu": Role.SECURITY_OFFICER,
    "platform-liuhu": Role.PLATFORM,
}
"""Signed in below one township."""
DISTRICT = {
    "desk-kongtong": Role.DISPATCHER,
    "supervisor-kongtong": Role.SUPERVISOR,
    "auditor": Role.AUDITOR,
    "security": Role.SECURITY_OFFICER,
    "admin": Role.ADMINISTRATOR,
}
ROLES = TOWNSHIP | DISTRICT
JOINING = (
    ("manager-liuhu", Role.GRID_MANAGER, LIUHU, ()),
    ("security-liuhu", Role.SECURITY_OFFICER, LIUHU, ()),
    ("worker-yonghong-2", Role.GRID_WORKER, YONGHONG, (YONGHONG_GRID,)),
    # with nobody there a matter would climb to the district's own desk
    ("desk-minxin", Role.DISPATCHER, "620802003007", ()),
    ("worker-outside", Role.GRID_WORKER, "620899100200", (OUTSIDE_GRID,)),
    ("desk-outside", Role.DISPATCHER, "620899100200", ()),
)


@dataclass(frozen=True)
class Foreign:
    """One object: the path's placeholders that lead to it, and the words that would betray it."""

    label: str
    values: dict[str, str]
    marks: tuple[str, ...]


@dataclass
class World:
    district: District
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    everywhere: dict[str, list[Foreign]] = field(default_factory=dict)
    """Kind → what is foreign to everybody of the cast, district's staff included."""
    across: dict[str, list[Foreign]] = field(default_factory=dict)
    """Kind → what is foreign to a township's staff only: the township next door."""

    def foreign(self, username: str, kind: str) -> list[Foreign]:
        mine = self.everywhere.get(kind, [])
        return mine + self.across.get(kind, []) if username in TOWNSHIP else mine

    def marks(self, username: str) -> set[str]:
        kinds = {*self.everywhere, *self.across}
        return {
            mark for kind in kinds for each in self.foreign(username, kind) for mark in each.marks
        }

    async def build(self) -> None:
        await self._found_outside()
        await self._join()
        for username in ROLES:
            self.clients[username] = await self._client(username)
        await self._bind_terminals()
        await self._report()
        await self._link()
        await self._note_sessions()

    async def _found_outside(self) -> None:
        async with self.district.resources.sessions.begin() as session:
            above: UUID | None = None
            for code, name, level, parent in OUTSIDE:
                session.add(
                    Area(code=code, name=name, level=level, parent_code=parent, valid_from=NOON)
                )
                await session.flush()
                if level != "grid":
                    unit = await create_unit(
                        session,
                        at=NOON,
                        code=code,
                        name=f"{MARK}{name}综治中心",
                        level=level,
                        kind="centre",
                        area_code=code,
                        parent_id=above,
                    )
                    above = unit.id
                    self._add(self.everywhere, "unit", code, {"unit": code}, (str(unit.id),))
                    ids = {"unit": str(unit.id), "unit_id": str(unit.id)}
                    self._add(self.everywhere, "unit", f"{code} by id", ids, (unit.name,))

    async def _join(self) -> None:
        async with self.district.resources.sessions.begin() as session:
            for username, role, code, grids in JOINING:
                unit = await _unit(session, code)
                await create_person(
                    session,
                    at=NOON,
                    username=username,
                    name=MARK + username if "outside" in username else username,
                    holdings=[(role, unit.id)],
                    password=PASSWORD,
                    grid_codes=grids,
                )
            for code, unit_code in (("platform-liuhu", LIUHU), ("platform-outside", "620899100")):
                unit = await _unit(session, unit_code)
                platform, _ = await create_platform(
                    session, at=NOON, code=code, name=code, unit_id=unit.id, secret=SECRET
                )
            values = {"platform_id": str(platform.id), "platform": platform.code}
            self._add(self.everywhere, "platform", "outside", values, (str(platform.id),))
            await self._subscribe(session)
            for unit in await session.scalars(select(Unit).where(Unit.area_code == XIJIAO)):
                ids = {"unit": str(unit.id), "unit_id": str(unit.id)}
                self._add(self.across, "unit", unit.code, ids, (str(unit.id),))
            for username in ("worker-outside", "desk-outside", "worker-minxin"):
                person = await _person(session, username)
                kept = self.across if username == "worker-minxin" else self.everywhere
                ids = {"person_id": str(person.id)}
                self._add(kept, "person", username, ids, (str(person.id), person.username))

    async def _subscribe(self, session: AsyncSession) -> None:
        """Endpoints of the districts next door; a platform has none of the township's either."""
        for area, kept in (("620899100", self.everywhere), (XIJIAO, self.across)):
            endpoint = Endpoint(
                id=new_id(),
                url=f"https://1.1.1.1/{area}",
                description=MARK,
                types=["*"],
                area_codes=[area],
                ordered=False,
                state="active",
                secret="sealed",
                owner_area=area,
                created_by=new_id(),
                created_at=NOON,
            )
            session.add(endpoint)
            ids = {"endpoint_id": str(endpoint.id)}
            self._add(kept, "endpoint", f"of {area}", ids, (str(endpoint.id),))
            self._add(kept, "area", area, {"area_code": area}, ())

    async def _client(self, username: str) -> httpx.AsyncClient:
        if username != "platform-liuhu":
            return await self.district.client(username)
        client = self.district.anonymous()
        form = {"grant_type": "client_credentials", "client_id": username, "client_secret": SECRET}
        token = (await client.post("/v1/token", data=form)).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        return client

    async def _bind_terminals(self) -> None:
        async with self.district.resources.sessions.begin() as session:
            for username in ("worker-outside", "worker-minxin"):
                person = await _person(session, username)
                terminal = f"terminal-of-{username}"
                session.add(
                    Terminal(id=terminal, person_id=person.id, state="active", bound_at=NOON)
                )
                kept = self.across if username == "worker-minxin" else self.everywhere
                self._add(kept, "terminal", username, {"terminal_id": terminal}, (terminal,))

    async def _report(self) -> None:
        """Plain and sealed matters; a sealed one of the own grid is its reporter's alone."""
        for username, grid, category, kept in (
            ("worker-outside", OUTSIDE_GRID, "0201", self.everywhere),
            ("worker-outside", OUTSIDE_GRID, "0301", self.everywhere),
            ("worker-minxin", MINXIN_GRID, "0201", self.across),
            ("worker-minxin", MINXIN_GRID, "0301", self.everywhere),
            ("worker-yonghong-2", YONGHONG_GRID, "0301", self.everywhere),
        ):
            file = {
                "id": str(new_id()),
                "kind": "photo",
                "size": len(PICTURE),
                "sha256": hashlib.sha256(PICTURE).hexdigest(),
            }
            receipt = await self.district.report(
                username,
                category=category,
                text=f"{username}说：{category}",
                place={"grid_code": grid},
                attachments=[file],
            )
            values = {"incident_id": receipt["id"], "attachment_id": file["id"]}
            client = await self.district.client(username)
            path = f"/v1/incidents/{values['incident_id']}/attachments/{values['attachment_id']}"
            (await client.put(path, content=PICTURE)).raise_for_status()
            label = f"{category} of {username}"
            marks = (receipt["id"], receipt["number"], f"{username}说：{category}")
            self._add(kept, "incident", label, values, marks)
        await self.district.drain()

    async def _link(self) -> None:
        """A link to a matter outside is foreign, although the other end is the own one."""
        own = await self.district.report("worker-yonghong")
        outside, *_ = self.everywhere["incident"]
        link = IncidentLink(
            id=new_id(),
            earlier_id=UUID(outside.values["incident_id"]),
            later_id=UUID(own["id"]),
            score=0.9,
            reasons=[{"kind": "method_words", "value": None, "words": [MARK]}],
            found_at=NOON,
        )
        async with self.district.resources.sessions.begin() as session:
            session.add(link)
        self._add(self.everywhere, "link", "to outside", {"link_id": str(link.id)}, (str(link.id),))

    async def _note_sessions(self) -> None:
        async with self.district.resources.sessions.read() as session:
            person = await _person(session, "worker-outside")
            login = await session.scalar(
                select(LoginSession).where(LoginSession.person_id == person.id)
            )
            media = await session.scalar(select(IncidentMedia.media_id).limit(1))
        assert login is not None
        ids = {"session_id": str(login.id)}
        self._add(self.everywhere, "session", "of somebody else", ids, (str(login.id),))
        ids = {"file_id": str(media), "variant": "original"}
        self._add(self.everywhere, "file", "of a matter", ids, ())
        ids = {"dry_run_id": str(new_id())}
        self._add(self.everywhere, "dry run", "that never was", ids, ())
        begun = await (await self.district.client("worker-outside")).post(
            "/v1/incidents/exports", json={"format": "csv"}
        )
        ids = {"export_id": begun.raise_for_status().json()["id"]}
        self._add(self.everywhere, "export", "of somebody else", ids, (ids["export_id"],))
        ids = {"import_id": str(new_id())}
        self._add(self.everywhere, "import", "that never was", ids, ())

    @staticmethod
    def _add(
        kept: dict[str, list[Foreign]],
        kind: str,
        label: str,
        values: dict[str, str],
        marks: tuple[str, ...],
    ) -> None:
        kept.setdefault(kind, []).append(Foreign(label, values, marks))


@asynccontextmanager
async def opened_world(url: str) -> AsyncIterator[World]:
    async with District.opened(url, NOON) as district:
        world = World(district)
        await world.build()
        yield world
        await world.clients["platform-liuhu"].aclose()


async def _unit(session: AsyncSession, code: str) -> Unit:
    return (await session.scalars(select(Unit).where(Unit.code == code))).one()


async def _person(session: AsyncSession, username: str) -> Person:
    return (await session.scalars(select(Person).where(Person.username == username))).one()
