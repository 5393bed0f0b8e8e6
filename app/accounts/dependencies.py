"""Who is asking and may they: asked by every router before the first body byte."""

import base64
import binascii
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Depends, Header, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access_tokens import read_access_token
from app.accounts.caller import Caller
from app.accounts.permissions import Permission
from app.accounts.rates import Rates
from app.accounts.recognition import CallerCache, recognise
from app.accounts.sign_in_errors import InvalidCredentials, MalformedForm, PasswordChangeRequired
from app.areas.locate import AreaMap, current_map
from app.core.errors import (
    Forbidden,
    PayloadTooLarge,
    RevisionRequired,
    Unauthenticated,
    UnsupportedMediaType,
)
from app.core.http import TheResources, Transaction, resources_of, unpacked
from app.core.packing import demand_plain
from app.core.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursors

RowT = TypeVar("RowT")
FormT = TypeVar("FormT", bound=BaseModel)


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
    request.state.rate_limit = rates.fields(rates.take(*_counted(caller)))
    request.state.caller = caller
    return caller


def _counted(caller: Caller) -> tuple[str, ...]:
    """A person with many terminals has one allowance, and so have many people with one terminal."""
    person = f"caller/{caller.id}"
    return (person, f"terminal/{caller.terminal_id}") if caller.terminal_id else (person,)


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

    `APIRouter(prefix=…, route_class=IdentifiedRoute)`. JSON that came in gzip is plain then (M15).
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        asks_who, reads_json = _asks_who(self.dependant), self.body_field is not None

        async def identified(request: Request) -> Response:
            if asks_who:
                await identify_signed_in(request)
            if reads_json:
                request = await unpacked(request)
            # kept by the transaction of a request that brought an Idempotency-Key
            request.state.answer = await handle(request)
            answer: Response = request.state.answer
            return answer

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


async def area_map(resources: TheResources) -> AreaMap:
    return await current_map(resources)


TheAreaMap = Annotated[AreaMap, Depends(area_map)]


def no_store(response: Response) -> None:
    """Personal data stays out of every cache (H14)."""
    response.headers["Cache-Control"] = "no-store"


class Pages:
    """One page of a list, as the request asks for it: `pages: ThePages`.

    `position = pages.position("units:…")`, then fetch `pages.fetch` rows, then `pages.cut`.
    """

    def __init__(
        self,
        request: Request,
        response: Response,
        resources: TheResources,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=1024)] = None,
    ) -> None:
        self._url = request.url
        self._response = response
        self._keys = resources.keys
        self._cursor = cursor
        self._cursors = Cursors(resources.keys, "")
        self.limit = limit
        self.fetch = limit + 1
        """Rows to ask the database for: one more tells that there is a next page."""

    def position(self, question: str) -> list[Any] | None:
        """Where the last page ended; `question` names the list and its filters.

        Raises CursorInvalid, also for the cursor of another question.
        """
        self._cursors = Cursors(self._keys, question)
        return self._cursors.read(self._cursor)

    def cut(
        self, rows: Sequence[RowT], position: Callable[[RowT], Sequence[Any]]
    ) -> tuple[Sequence[RowT], str | None]:
        """The rows of this page and the next cursor, which also goes into the Link header."""
        page, following = self._cursors.cut(rows, self.limit, position)
        if following is not None:
            url = self._url.include_query_params(cursor=following)
            self._response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return page, following


ThePages = Annotated[Pages, Depends()]


def etag(revision: int) -> str:
    return f'"{revision}"'


def revision_of(tag: str) -> int:
    """The number in `"7"`; 0, which nothing has, for another word."""
    digits = tag.strip().removeprefix("W/").strip('"')
    return int(digits) if digits.isascii() and digits.isdecimal() else 0


def seen_revision(if_match: Annotated[str | None, Header(max_length=64)] = None) -> int:
    """The revision in `If-Match`. Raises RevisionRequired."""
    if if_match is None:
        raise RevisionRequired
    return revision_of(if_match)


SeenRevision = Annotated[int, Depends(seen_revision)]


def address_of(request: Request) -> str:
    """The network address; a trusted proxy's word has been put in its place already."""
    return request.client.host if request.client else "unknown"


FORM_BYTES = 8 * 1024
_FORM_FIELDS = 32
_FORM = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """At most 8 KiB of UTF-8 form; client credentials may stand in HTTP Basic instead.

    Raises UnsupportedMediaType, ContentEncodingRefused, PayloadTooLarge, MalformedForm,
    InvalidCredentials.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise UnsupportedMediaType
    demand_plain(request.headers.get("content-encoding"))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise PayloadTooLarge(limit=FORM_BYTES)
    return {**_basic(request), **_fields(bytes(body))}


def form_of(shape: type[FormT]) -> Callable[[dict[str, str]], FormT]:
    """A dependency that reads the form as `shape`."""

    def read(fields: Annotated[dict[str, str], Depends(read_form)]) -> FormT:
        try:
            return shape.model_validate(fields)
        except ValidationError as invalid:
            found = [{**error, "loc": ("body", *error["loc"])} for error in invalid.errors()]
            raise RequestValidationError(found) from None

    return read


def form_in_openapi(shape: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route with `form_of(shape)`."""
    content = {_FORM: {"schema": shape.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def _fields(body: bytes) -> dict[str, str]:
    """Empty values count as missing; a field given twice is refused (RFC 6749 §3.2)."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FORM_FIELDS
        )
    except ValueError as broken:
        raise MalformedForm from broken
    fields = dict(pairs)
    if len(fields) != len(pairs) or any("\0" in key + value for key, value in pairs):
        raise MalformedForm
    return {key: value for key, value in fields.items() if value}


def _basic(request: Request) -> dict[str, str]:
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        name, _, secret = base64.b64decode(word, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as broken:
        raise InvalidCredentials from broken
    return {"client_id": name, "client_secret": secret}
