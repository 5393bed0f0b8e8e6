"""What the routes share: bodies they read themselves, headers of phones, pages, who looks."""

from datetime import datetime
from typing import TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.accounts.caller import Caller
from app.areas.datum import Datum
from app.areas.locate import current_map
from app.categories.queries import current_tree
from app.core.fields import Command
from app.core.resources import Resources
from app.incidents.attachments import Looking
from app.incidents.errors import IncidentIdInvalid
from app.incidents.narrowing import Asking
from app.incidents.schemas import IncidentReceipt

CommandT = TypeVar("CommandT", bound=Command)


def parsed(model: type[CommandT], raw: bytes) -> CommandT:
    """The command in a body. Raises IncidentIdInvalid, and what a wrong JSON body always raises."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as invalid:
        found = invalid.errors(include_url=False)
        if any(error["loc"] == ("id",) and error["type"] != "missing" for error in found):
            raise IncidentIdInvalid from invalid
        raise RequestValidationError(
            [{**error, "loc": ("body", *error["loc"])} for error in found]
        ) from invalid


def instant(client_time: str | None) -> datetime | None:
    """The phone's clock; what can't be read is not worth losing a report for."""
    try:
        read = datetime.fromisoformat(client_time) if client_time else None
    except ValueError:
        return None
    return read if read is not None and read.tzinfo is not None else None


def answer(receipt: IncidentReceipt, *, replayed: bool) -> Response:
    """201 with the receipt, 200 for a repeat."""
    headers = {"Location": f"/v1/incidents/{receipt.id}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(
        receipt.model_dump_json(),
        status_code=200 if replayed else 201,
        media_type="application/json",
        headers=headers,
    )


def link_next(request: Request, response: Response, following: str | None) -> None:
    """Where the next page is, if there is one."""
    if following:
        url = request.url.include_query_params(cursor=following)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'


def looking_of(resources: Resources, caller: Caller, datum: Datum) -> Looking:
    now, seconds = resources.clock.now(), resources.settings.intake.link_s
    return Looking(caller, now, resources.keys, seconds, datum)


async def asking_of(resources: Resources, caller: Caller) -> Asking:
    areas, categories = await current_map(resources), await current_tree(resources)
    return Asking(caller, resources.clock.now(), areas, categories)
