"""Raisers and parties: sealed at rest, masked on output (2-domain §8)."""

from app.core.crypto import Keys
from app.core.db import Json
from app.incidents.opening_schemas import ClearPerson
from app.incidents.schemas import MaskedPerson, NewParty, NewRaiser

_PURPOSE = "party"
_SHOWN_DIGITS = 4


def mask_name(name: str) -> str:
    """The first character and a star: 张三 → 张*."""
    return name[:1] + "*"


def mask_phone(phone: str | None) -> str | None:
    """The last four digits."""
    return None if phone is None else "*" + phone[-_SHOWN_DIGITS:]


def sealed_raiser(keys: Keys, raiser: NewRaiser | None) -> Json | None:
    if raiser is None:
        return None
    informed = raiser.informed_at.isoformat() if raiser.informed_at else None
    return {**_sealed(keys, raiser.name, raiser.phone), "informed_at": informed}


def sealed_party(keys: Keys, party: NewParty) -> Json:
    return {"role": party.role, **_sealed(keys, party.name, party.phone)}


def masked(stored: Json) -> MaskedPerson:
    return MaskedPerson(
        role=stored.get("role"),
        name=stored["masked_name"],
        phone=stored["masked_phone"],
        informed_at=stored.get("informed_at"),
    )


def clear(keys: Keys, stored: Json) -> ClearPerson:
    """For who has said why. Raises SealBroken."""
    phone = stored["phone"]
    return ClearPerson(
        role=stored.get("role"),
        name=keys.unseal(_PURPOSE, stored["name"]),
        phone=keys.unseal(_PURPOSE, phone) if phone else None,
    )


def _sealed(keys: Keys, name: str, phone: str | None) -> Json:
    return {
        "name": keys.seal(_PURPOSE, name),
        "phone": keys.seal(_PURPOSE, phone) if phone else None,
        "masked_name": mask_name(name),
        "masked_phone": mask_phone(phone),
    }
