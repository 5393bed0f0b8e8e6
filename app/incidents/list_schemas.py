"""Lists on the wire: what they are narrowed to, their counts, and exports."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.areas.datum import Datum
from app.core.fields import Code, Command, Count, Instant, View
from app.incidents.queues import QUEUES, Queue
from app.incidents.schemas import Urgency
from app.incidents.sorting import Sort

_NUMBER = r"-?[0-9]{1,3}(\.[0-9]{1,12})?"
_NEAR = rf"^{_NUMBER},{_NUMBER},[0-9]{{1,6}}(\.[0-9]{{1,3}})?$"


class Filters(Command):
    """What a list is narrowed to. Unknown parameters are refused: a filter must not be ignored."""

    mine: bool = False
    state: Annotated[str, StringConstraints(pattern=r"^[a-z_]+(,[a-z_]+)*$", max_length=200)] | (
        None
    ) = None
    """Several, comma-separated."""
    category: Code | None = None
    """With everything below it."""
    area: Code | None = None
    unit: Code | None = None
    urgency: Urgency | None = None
    overdue: bool = False
    supervision: Literal["normal", "yellow", "red"] | None = None
    queue: Queue | None = None
    """What waits for the caller's own desk."""
    since: Instant | None = None
    until: Instant | None = None
    q: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Words that text, number or address hold, all of them. Sealed matters are never found."""
    near: Annotated[str, StringConstraints(pattern=_NEAR, max_length=80)] | None = None
    """`lon,lat,metres`, in `datum`."""
    datum: Datum = "wgs84"


class ListQuery(Filters):
    sort: Sort = "-received_at"
    """`due_at`: only matters whose clock runs. `-urgency`: the most pressing first."""
    cursor: Annotated[str, StringConstraints(max_length=1024)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class CountView(View):
    count: Count
    more: bool
    """There are more than `count`, which is as far as is counted."""


class QueueView(CountView):
    queue: str = Field(max_length=20, json_schema_extra={"x-extensible-enum": [*QUEUES]})


class NewExport(Command):
    format: Literal["csv", "xlsx"]
    filters: Filters = Filters()


class ExportView(View):
    id: UUID
    format: str = Field(max_length=20)
    state: str = Field(
        max_length=20,
        json_schema_extra={"x-extensible-enum": ["queued", "running", "done", "failed"]},
    )
    code: str | None = Field(max_length=100)
    """Why it failed: the code of a problem."""
    done: Count
    """Lines so far."""
    size: Count | None
    created_at: datetime
    finished_at: datetime | None
    url: str | None = Field(default=None, max_length=500)
    """Of the file, good for minutes."""
    expires_at: datetime | None = None
