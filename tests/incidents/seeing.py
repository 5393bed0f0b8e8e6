"""Who sees which matters: one by one, and in the ways in which lists and counts are read."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import httpx
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access_tokens import read_access_token
from app.accounts.caller import Caller
from app.accounts.recognition import recognise
from app.incidents.models import Incident
from app.incidents.visibility import visible_to
from app.incidents.ways import seen_in_ways, ways_to_see
from tests.district import District
from tests.incidents.driving import World


async def caller_of(district: District, client: httpx.AsyncClient) -> Caller:
    """Whom the server takes this client for."""
    token = client.headers["authorization"].removeprefix("Bearer ")
    return await recognise(district.resources, read_access_token(district.resources, token))


async def seen_by(district: District, caller: Caller) -> frozenset[str]:
    """What exists for them, asked matter by matter; each of the ways must say the same."""
    async with district.resources.sessions.read() as session:
        visible = await _found(session, visible_to(caller))
        in_ways = [await _found(session, way) for way in ways_to_see(caller)]
        alone = [await _found(session, way) for way in seen_in_ways(caller)]
        at_once = await _found(session, or_(*seen_in_ways(caller)))
    assert all(len(ids) == len(set(ids)) for ids in in_ways)
    assert in_ways == alone
    assert {each for ids in in_ways for each in ids} == set(visible) == set(at_once)
    return frozenset(map(str, visible))


async def see_the_same(world: World, people: Iterable[str]) -> None:
    """Each of them in lists as one by one."""
    for who in people:
        caller = await caller_of(world.district, await world.client(who))
        await seen_by(world.district, caller)


async def _found(session: AsyncSession, clause: ColumnElement[bool]) -> Sequence[UUID]:
    found = await session.scalars(select(Incident.id).where(clause).order_by(Incident.id))
    return found.all()
