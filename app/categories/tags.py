"""Entity tags: what a reader holds, what a writer saw (RFC 9110 §8.8.3, §13.1)."""

import hashlib

from pydantic import BaseModel

from app.core.errors import RevisionRequired, RevisionStale


def tag_of(view: BaseModel) -> str:
    """A strong tag of the representation, quotes included."""
    return f'"{hashlib.sha256(view.model_dump_json().encode()).hexdigest()[:32]}"'


def holds(if_none_match: str | None, tag: str) -> bool:
    """True when the reader has it already (weak comparison)."""
    return tag in _listed(if_none_match, "W/") or _listed(if_none_match, "") == ["*"]


def demand(if_match: str | None, current: BaseModel | None) -> None:
    """The writer saw what stands now, or there is nothing yet and it named nothing.

    Raises RevisionRequired (nothing named), RevisionStale (something else named).
    """
    if current is None:
        if if_match is not None:
            raise RevisionStale
        return
    if if_match is None:
        raise RevisionRequired
    tag = tag_of(current)
    seen = _listed(if_match, "")
    if tag not in seen and seen != ["*"]:
        raise RevisionStale.over(current, tag)


def _listed(header: str | None, ignored: str) -> list[str]:
    return [part.strip().removeprefix(ignored) for part in (header or "").split(",")]
