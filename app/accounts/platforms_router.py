"""Platforms: machines that sign in with a secret, managed by an administrator."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy import select

from app.accounts.caller import Caller
from app.accounts.dependencies import (
    ChangesRights,
    IdentifiedRoute,
    TheAreaMap,
    ThePages,
    no_store,
    require,
)
from app.accounts.enrolment import create_platform
from app.accounts.errors import PlatformCodeTaken, PlatformNotFound, UnitNotFound
from app.accounts.models import Platform, Unit
from app.accounts.permissions import Permission
from app.accounts.platforms import find_platform, rotate_secret, switch
from app.accounts.queries import among, unit_by_ref
from app.accounts.schemas import NewPlatformCommand, PlatformView, PlatformWithSecret
from app.accounts.scope import areas_below, roots_for
from app.core.errors import CursorInvalid, Forbidden, Unauthenticated
from app.core.http import Reading, TheResources, problems
from app.core.paging import Page

router = APIRouter(
    prefix="/platforms",
    tags=["platforms"],
    dependencies=[Depends(no_store)],
    route_class=IdentifiedRoute,
)

Manager = Annotated[Caller, Depends(require(Permission.MANAGE_PLATFORMS))]


async def managed_areas(areas: TheAreaMap, caller: Manager) -> frozenset[str]:
    return areas_below(areas, roots_for(caller, Permission.MANAGE_PLATFORMS))


ManagedAreas = Annotated[frozenset[str], Depends(managed_areas)]


@router.get("", responses=problems(Unauthenticated, Forbidden, CursorInvalid))
async def list_platforms(
    areas: ManagedAreas,
    session: Reading,
    pages: ThePages,
) -> Page[PlatformView]:
    position = pages.position("platforms")
    question = (
        select(Platform).join(Unit, Unit.id == Platform.unit_id).where(among(Unit.area_code, areas))
    )
    if position is not None:
        question = question.where(Platform.code > str(position[0]))
    rows = await session.scalars(question.order_by(Platform.code).limit(pages.fetch))
    page, following = pages.cut(rows.all(), lambda platform: [platform.code])
    return Page(items=[PlatformView.model_validate(row) for row in page], next=following)


@router.post(
    "",
    status_code=201,
    responses=problems(Unauthenticated, Forbidden, UnitNotFound, PlatformCodeTaken),
)
async def register_platform(
    command: NewPlatformCommand,
    resources: TheResources,
    areas: ManagedAreas,
    session: ChangesRights,
    caller: Manager,
) -> PlatformWithSecret:
    """The answer shows the secret this once; `code` is the client id."""
    unit = await unit_by_ref(session, command.unit)
    if unit is None or unit.area_code not in areas:
        raise UnitNotFound
    platform, secret = await create_platform(
        session,
        at=resources.clock.now(),
        code=command.code,
        name=command.name,
        unit_id=unit.id,
        actor_id=caller.id,
    )
    return _with_secret(platform, secret)


@router.post(
    "/{platform_id}/rotate-secret",
    responses=problems(Unauthenticated, Forbidden, PlatformNotFound),
)
async def rotate_platform_secret(
    platform_id: UUID,
    resources: TheResources,
    areas: ManagedAreas,
    session: ChangesRights,
    caller: Manager,
) -> PlatformWithSecret:
    """The old secret and every token it got end at once."""
    platform = await find_platform(session, areas, platform_id)
    secret = await rotate_secret(session, platform, caller.id, resources.clock.now())
    return _with_secret(platform, secret)


@router.post(
    "/{platform_id}/disable", responses=problems(Unauthenticated, Forbidden, PlatformNotFound)
)
async def disable_platform(
    platform_id: UUID,
    resources: TheResources,
    areas: ManagedAreas,
    session: ChangesRights,
    caller: Manager,
) -> PlatformView:
    platform = await find_platform(session, areas, platform_id)
    await switch(session, platform, "disabled", caller.id, resources.clock.now())
    return PlatformView.model_validate(platform)


@router.post(
    "/{platform_id}/enable", responses=problems(Unauthenticated, Forbidden, PlatformNotFound)
)
async def enable_platform(
    platform_id: UUID,
    resources: TheResources,
    areas: ManagedAreas,
    session: ChangesRights,
    caller: Manager,
) -> PlatformView:
    platform = await find_platform(session, areas, platform_id)
    await switch(session, platform, "active", caller.id, resources.clock.now())
    return PlatformView.model_validate(platform)


def _with_secret(platform: Platform, secret: str) -> PlatformWithSecret:
    shown = PlatformView.model_validate(platform)
    return PlatformWithSecret(**shown.model_dump(), secret=secret)
