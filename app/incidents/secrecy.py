"""What a sealed matter says, under a key of its own that is itself sealed beside it.

The words and the place are stored only so; whoever has the database without the server's secret
reads nothing, and without a matter's key nobody ever does. Digests of the history are taken of what
is stored, so that a chain is checked without any key.
"""

from typing import NamedTuple, Protocol
from uuid import UUID

import orjson
from sqlalchemy import event, inspect
from sqlalchemy.orm import object_session

from app.core.crypto import Keys, SealBroken, random_token
from app.core.db import Json
from app.core.resources import KEYS
from app.incidents.models import Incident

_KEY, _WORDS, _PLACE = "tip-key", "tip-words", "tip-place"
_KEPT = "sealed"
"""The one member of a sealed place."""


class Secret(NamedTuple):
    """A matter's own keys, and what its row says of them."""

    kept: str
    keys: Keys


class Opened(NamedTuple):
    """What a matter says, for those who may read it."""

    text: str
    outcome: str | None
    place: Json
    lon: float | None
    lat: float | None


WITHHELD = Opened("", None, {}, None, None)
"""For those who have not said why they have to read it."""


class _Words(Protocol):
    @property
    def reason(self) -> str | None: ...
    @property
    def text(self) -> str | None: ...


def fresh_secret(keys: Keys, incident_id: UUID) -> Secret:
    own = random_token()
    # with its id: beside another matter's row the key opens nothing
    return Secret(keys.seal(_KEY, f"{incident_id} {own}"), Keys(own))


def own_keys(keys: Keys, incident: Incident) -> Keys | None:
    """None where it is not sealed. Raises SealBroken."""
    if incident.own_key is None:
        return None
    whose, _, own = keys.unseal(_KEY, incident.own_key).partition(" ")
    if whose != str(incident.id):
        raise SealBroken
    return Keys(own)


def sealed_words(own: Keys | None, words: str | None) -> str | None:
    """As they are stored: sealed where there are keys."""
    return own.seal(_WORDS, words) if own is not None and words is not None else words


def kept_columns(said: Opened, secret: Secret | None) -> Json:
    """What a new matter says, as its row has it."""
    if secret is None:
        return said._asdict()
    whole = {"place": said.place, "lon": said.lon, "lat": said.lat}
    return {
        "text": sealed_words(secret.keys, said.text),
        "outcome": sealed_words(secret.keys, said.outcome),
        "place": {_KEPT: secret.keys.seal(_PLACE, orjson.dumps(whole).decode())},
        "own_key": secret.kept,
    }


def opened(keys: Keys, incident: Incident) -> Opened:
    """Raises SealBroken."""
    own = own_keys(keys, incident)
    if own is None:
        return Opened(incident.text, incident.outcome, incident.place, incident.lon, incident.lat)
    place = orjson.loads(own.unseal(_PLACE, incident.place[_KEPT]))
    outcome = incident.outcome and own.unseal(_WORDS, incident.outcome)
    return Opened(own.unseal(_WORDS, incident.text), outcome, **place)


def opened_text(keys: Keys, incident: Incident, kept: str) -> str:
    """Any words about it that were stored by `sealed_words`. Raises SealBroken."""
    own = own_keys(keys, incident)
    return own.unseal(_WORDS, kept) if own is not None else kept


def opened_words(keys: Keys, incident: Incident, entry: _Words) -> tuple[str | None, str | None]:
    """Reason and text of an entry of its history. Raises SealBroken."""
    own = own_keys(keys, incident)
    if own is None:
        return entry.reason, entry.text
    reason, text = (each and own.unseal(_WORDS, each) for each in (entry.reason, entry.text))
    return reason, text


def kept_fingerprint(keys: Keys, content: bytes, *, sealed: bool) -> bytes:
    """Of a sealed matter under a key: else what it says could be found out by trying."""
    return keys.mac("fingerprint", content) if sealed else content


@event.listens_for(Incident, "before_update")
def _seal_outcome(_mapper: object, _connection: object, incident: Incident) -> None:
    """However an outcome came to be, it goes to the database sealed."""
    session = object_session(incident)
    if incident.own_key is None or session is None:
        return
    if inspect(incident).attrs.outcome.history.added:
        own = own_keys(session.info[KEYS], incident)
        incident.outcome = sealed_words(own, incident.outcome)
