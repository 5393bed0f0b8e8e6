"""Searching: words of a text as the database keeps them, and the clause that finds them.

Chinese has no spaces: each character and each pair of neighbours is a word, so that 纠纷 is found
in 矛盾纠纷. Letters and digits are found as whole words, a number by its parts.
"""

import re
import unicodedata
from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, func, or_, select

from app.core.db import NOTHING
from app.incidents.list_models import IncidentWords
from app.incidents.models import Incident

_PAIR = 2
_RUN = re.compile(r"([a-z0-9]+)|([^\u0001-\u007f\u2010-\u2027\u3000-\u3020]+)")
"""The same as in the database's `words_of`."""
_SEARCHED = (Incident.text, Incident.place["address"].astext)


def terms_of(question: str) -> list[str]:
    """The words a matter must have, all of them."""
    terms = (term for latin, other in _runs(question) for term in _terms(latin, other))
    return list(dict.fromkeys(terms))


def said(question: str) -> ColumnElement[bool]:
    """Text, number or address hold every word of the question. Sealed matters are never found."""
    terms = terms_of(question)
    if not terms:  # nothing but punctuation
        return NOTHING
    found = select(IncidentWords.incident_id).where(IncidentWords.words.contains(terms))
    whole = (_holds(other) for _, other in _runs(question) if len(other) > _PAIR)
    return and_(Incident.id.in_(found), Incident.sealed.is_(False), *whole)


def _runs(question: str) -> Iterator[tuple[str, str]]:
    plain = unicodedata.normalize("NFKC", question).lower()
    return ((found[1] or "", found[2] or "") for found in _RUN.finditer(plain))


def _terms(latin: str, other: str) -> list[str]:
    if latin or len(other) < _PAIR:
        return [latin or other]
    return [other[start : start + _PAIR] for start in range(len(other) - 1)]


def _holds(phrase: str) -> ColumnElement[bool]:
    """Its pairs may stand apart; the whole is looked for where they were found."""
    plain = (func.lower(func.pg_catalog.normalize(column, "NFKC")) for column in _SEARCHED)
    return or_(*(func.strpos(text, phrase) > 0 for text in plain))
