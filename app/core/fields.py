"""Field types of the wire: every string bounded, no NUL (PostgreSQL can't store one)."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul_character", "NUL characters are not allowed")
    return text


def _sane_year(instant: datetime) -> datetime:
    if not 1970 <= instant.year <= 2200:  # noqa: PLR2004 - years
        raise PydanticCustomError("year_out_of_range", "The year must be between 1970 and 2200")
    return instant


Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An opaque code: area, unit, category."""
Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, strip_whitespace=True),
    AfterValidator(_no_nul),
]
"""One line for people: a name, an address."""
Prose = Annotated[
    str,
    StringConstraints(min_length=1, max_length=5000, strip_whitespace=True),
    AfterValidator(_no_nul),
]
"""Report text, reason, outcome."""
Instant = Annotated[AwareDatetime, AfterValidator(_sane_year)]
"""RFC 3339 with a zone."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", max_length=64)]
Count = Annotated[int, Field(ge=0, le=2**53)]
"""How many, which number: what every JSON reader can hold exactly."""
Lon = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Lat = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]


class Command(BaseModel):
    """What a client asks to be done: unknown fields are refused (H2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """What the server shows; read from rows by attribute."""

    model_config = ConfigDict(from_attributes=True)


def schemas_of(shape: type[BaseModel]) -> dict[str, Any]:
    """JSON Schemas by name, of a body that a route reads itself and every shape inside it.

    For `openapi_extra={"x-schemas": …}`; the description refers to `#/components/schemas/{name}`.
    """
    whole = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**whole.pop("$defs", {}), shape.__name__: whole}
