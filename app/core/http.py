"""HTTP's edge: the one renderer of refusals, OpenAPI's refusals, the transaction of a request."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.core import disk, errors
from app.core.errors import PROBLEM_JSON, Language, Problem, language_asked
from app.core.idempotency import Answer, Operation, Replayed, claim, keep, operation
from app.core.packing import demand_plain, json_body
from app.core.resources import Resources
from app.core.sheet_errors import ImportRefused, SheetTooLong, SheetUnreadable
from app.core.sheets import MOST_BYTES, SHEETS
from app.core.validation import explain

RETRY_AFTER_S = "2"
DISK_FULL = "53100"
"""PostgreSQL's word for it."""

log = structlog.get_logger()

_BY_STATUS: dict[int, type[Problem]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.TooManyRequests,
    503: errors.Unavailable,
    507: errors.InsufficientStorage,
}


def resources_of(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


async def the_resources(request: Request) -> Resources:
    """`resources_of` as a dependency: a plain function would cost every request a thread."""
    return resources_of(request)


TheResources = Annotated[Resources, Depends(the_resources)]


async def begin(request: Request, resources: TheResources) -> AsyncIterator[AsyncSession]:
    """One transaction a request, committed before the answer leaves: a 201 means stored.

    With an `Idempotency-Key` the answer is kept in the same transaction and given to every repeat.
    """
    keyed = await _keyed(request)
    async with resources.sessions.begin() as session:
        if keyed is not None:
            await claim(session, keyed, resources.keys, resources.clock.now())
        yield session
        answer = _answer_of(request)
        if keyed is not None and answer is not None:
            await keep(session, keyed, resources.keys, answer)


async def _keyed(request: Request) -> Operation | None:
    """The keyed operation of a caller; the body has been read by now and is not read again."""
    header = request.headers.get("idempotency-key")
    caller = getattr(request.state, "caller", None)
    if header is None or caller is None:
        return None
    body = await request.body()
    return operation(caller.id, header, request.method, request.url.path, body)


def _answer_of(request: Request) -> Answer | None:
    """What the route has answered, if that is worth keeping: refusals are tried again (I7)."""
    response: Response | None = getattr(request.state, "answer", None)
    if response is None or not response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return None
    return Answer(response.status_code, bytes(response.body), response.headers.get("etag"))


async def unpacked(request: Request) -> Request:
    """The request with its body plain, where JSON came packed.

    Raises ContentEncodingRefused, PayloadTooLarge, CompressedTooMuch, MalformedEncoding.
    """
    encoding = request.headers.get("content-encoding")
    if encoding is None:
        return request
    limits = resources_of(request).settings.intake
    body = await json_body(request.stream(), encoding, limits)
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return left.pop() if left else dict(await request.receive())

    return Request(request.scope, receive)


async def reading(resources: TheResources) -> AsyncIterator[AsyncSession]:
    """A session for questions: nothing it did is kept."""
    async with resources.sessions.read() as session:
        yield session


Transaction = Annotated[AsyncSession, Depends(begin, scope="function")]
Reading = Annotated[AsyncSession, Depends(reading, scope="function")]


def language_of(request: Request) -> Language:
    return language_asked(request.headers.get("accept-language", ""))


async def sheet_of(request: Request) -> bytes:
    """The whole body of an import. Raises ContentEncodingRefused, UnsupportedMediaType."""
    demand_plain(request.headers.get("content-encoding"))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in SHEETS:
        raise errors.UnsupportedMediaType(supported=[*SHEETS])
    return await request.body()


DryRun = Annotated[bool, Query(description="Tell what would happen, and write nothing")]
TheSheet = Annotated[bytes, Depends(sheet_of)]
SHEET_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            SHEETS[0]: {"schema": {"type": "string", "maxLength": MOST_BYTES}},
            SHEETS[1]: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""What OpenAPI says of such a body."""
SHEET_PROBLEMS = (
    errors.UnsupportedMediaType,
    errors.PayloadTooLarge,
    SheetUnreadable,
    SheetTooLong,
    ImportRefused,
)


def request_id_of(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def render(request: Request, problem: Problem) -> Response:
    """RFC 9457; the code is left in the scope for the request's log line and counter."""
    request.scope.setdefault("state", {})["problem_code"] = problem.code
    language = language_of(request)
    return Response(
        problem.document(language, request_id_of(request)),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers={"Content-Language": language, **problem.headers},
    )


def problems(*classes: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """`responses=problems(IncidentNotFound, …)`: what a route refuses, for OpenAPI."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for problem in classes:
        entry = by_status.setdefault(
            problem.status,
            {
                "description": "",
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
        codes = entry.setdefault("x-codes", [])
        codes.append(problem.code)
        entry["description"] = " · ".join(f"`{code}`" for code in codes)
    return by_status


async def _on_problem(request: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    return render(request, problem)


async def _on_invalid(request: Request, invalid: Exception) -> Response:
    if not isinstance(invalid, RequestValidationError):
        raise invalid
    found = invalid.errors()
    if any(error["type"] == "json_invalid" for error in found):
        return render(request, errors.MalformedJson())
    return render(request, errors.ValidationFailed(errors=explain(found, language_of(request))))


async def _on_replay(_request: Request, replayed: Exception) -> Response:
    if not isinstance(replayed, Replayed):
        raise replayed
    answer = replayed.answer
    headers = {"Idempotency-Replayed": "true", **({"ETag": answer.etag} if answer.etag else {})}
    return Response(answer.body or None, answer.status, headers, "application/json")


async def _on_http(request: Request, refused: Exception) -> Response:
    if not isinstance(refused, HTTPException):
        raise refused
    problem = _as_problem(refused)
    problem.headers = {**problem.headers, **(refused.headers or {})}
    return render(request, problem)


def _as_problem(refused: HTTPException) -> Problem:
    # the framework calls bytes that are no UTF-8, absurd numbers and endless nesting "400"
    if isinstance(refused.__cause__, ValueError | RecursionError):
        return errors.MalformedJson()
    problem = _BY_STATUS.get(refused.status_code, errors.HttpRefused)()
    problem.status = refused.status_code
    return problem


async def _on_left(_request: Request, _left: Exception) -> Response:
    """Nobody reads this: the client has gone in the middle of its own request."""
    return Response(status_code=499)


async def _on_database(request: Request, failure: Exception) -> Response:
    if not database_is_away(failure):
        return await _on_bug(request, failure)
    log.warning("database_unavailable", error=type(failure).__name__)
    if getattr(getattr(failure, "orig", None), "sqlstate", None) == DISK_FULL:
        full = errors.InsufficientStorage(headers={"Retry-After": disk.RETRY_AFTER_S})
        return render(request, full)
    return render(request, errors.Unavailable(headers={"Retry-After": RETRY_AFTER_S}))


def database_is_away(failure: Exception) -> bool:
    """No connection was free in time, or it was lost: the same request may do later."""
    if isinstance(failure, DBAPIError):
        lost = isinstance(failure, OperationalError | InterfaceError)
        return failure.connection_invalidated or lost
    return isinstance(failure, PoolTimeout)


async def _on_bug(request: Request, bug: Exception) -> Response:
    """Bugs the request's own middleware did not answer, and databases that say no."""
    log.error("bug", exc_info=bug)
    return render(request, errors.InternalError())


def install_errors(app: FastAPI) -> None:
    """Every refusal, the framework's own included, leaves as problem+json."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(Replayed, _on_replay)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_left)
    app.add_exception_handler(DBAPIError, _on_database)
    app.add_exception_handler(PoolTimeout, _on_database)
    app.add_exception_handler(Exception, _on_bug)
