"""Who is asking and may they: asked by every router before the first body byte."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access_tokens import read_access_token
from app.accounts.caller import Caller
from app.accounts.errors import PasswordChangeRequired
from app.accounts.permissions import Permission
from app.accounts.rates import Rates
from app.accounts.recognition import CallerCache, recognise
from app.core.errors import Forbidden, Unauthenticated
from app.core.http import TheResources, Transaction, resources_of


async def identify_signed_in(request: Request) -> Caller:
    """The caller, even one who must change the password first (only `/me` takes those).

    Reads headers only; its own short session is closed before it returns. Raises Unauthenticated,
    TokenInvalid, TokenExpired, SessionEnded, TooManyRequests. Leaves the RateLimit fields of the
    answer in `request.state.rate_limit`.
    """
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:  # asked before the body by IdentifiedRoute
        return known
    resources = resources_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated
    caller = await recognise(resources, read_access_token(resources, token.strip()))
    rates = resources.the(Rates)
    request.state.rate_limit = rates.fields(rates.take(f"{caller.id}/{caller.terminal_id or ''}"))
    request.state.caller = caller
    return caller


async def identify(request: Request) -> Caller:
    """The caller. Raises what `identify_signed_in` raises, and PasswordChangeRequired."""
    caller = await identify_signed_in(request)
    if caller.must_change_password:
        raise PasswordChangeRequired
    return caller


CurrentCaller = Annotated[Caller, Depends(identify)]
SignedInCaller = Annotated[Caller, Depends(identify_signed_in)]


def require(permission: Permission) -> Callable[[Caller], Coroutine[Any, Any, Caller]]:
    """A dependency giving the caller if one of their roles has the permission, else 403.

    `caller: Annotated[Caller, Depends(require(Permission.READ_AREAS))]`.
    """

    async def permitted(caller: CurrentCaller) -> Caller:
        if not caller.may(permission):
            raise Forbidden(permission=permission)
        return caller

    # read by the guardrail that demands a permission of every route
    permitted.permission = permission  # type: ignore[attr-defined]  # functions take attributes
    return permitted


class IdentifiedRoute(APIRoute):
    """FastAPI reads a JSON body before it asks any dependency; this route asks who it is first.

    `APIRouter(prefix=…, route_class=IdentifiedRoute)`; routes without a caller are left alone.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if not _asks_who(self.dependant):
            return handle

        async def identified(request: Request) -> Response:
            await identify_signed_in(request)
            return await handle(request)

        return identified


def _asks_who(dependant: Dependant) -> bool:
    asks = dependant.call in {identify, identify_signed_in}
    return asks or any(_asks_who(below) for below in dependant.dependencies)


async def changing(session: Transaction, resources: TheResources) -> AsyncSession:
    """A transaction whose commit makes this process forget every caller it had read."""
    cache = resources.the(CallerCache)

    def forget(_: object) -> None:
        cache.clear()

    event.listen(session.sync_session, "after_commit", forget)
    return session


ChangesRights = Annotated[AsyncSession, Depends(changing, scope="function")]
