"""Conditional requests on catalogues: headers in, answers with strong tags out."""

from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel

from app.categories.tags import holds, tag_of

IfMatch = Annotated[str | None, Header(max_length=2048, description="The ETag the writer saw")]
IfNoneMatch = Annotated[
    str | None, Header(max_length=2048, description="ETags the reader already holds")
]


def catalogue(view: BaseModel, held: str | None, *, link: str | None = None) -> Response:
    """200 with the view, or 304 without a body where the reader holds it (S9, H14)."""
    headers = _headers(view)
    if link:
        headers["Link"] = f'<{link}>; rel="next"'
    if holds(held, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return _json(view, headers)


def next_link(request: Request, cursor: str | None) -> str | None:
    """Where the next page is, relative to our origin; None on the last one."""
    if cursor is None:
        return None
    url = request.url.include_query_params(cursor=cursor)
    return f"{url.path}?{url.query}"


def written(view: BaseModel, *, status: int = 200) -> Response:
    """The object as it stands after a write, with the tag the next writer names."""
    return _json(view, _headers(view), status)


def _headers(view: BaseModel) -> dict[str, str]:
    return {
        "ETag": tag_of(view),
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding",
    }


def _json(view: BaseModel, headers: dict[str, str], status: int = 200) -> Response:
    return Response(
        view.model_dump_json(), status_code=status, media_type="application/json", headers=headers
    )
