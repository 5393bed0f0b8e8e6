"""What a repeat is told by: the same id must come with the same content (I4). Pure."""

import hashlib

import orjson

from app.core.db import Json
from app.incidents.schemas import NewIncident, NewSupplement


def fingerprint(new: NewIncident | NewSupplement) -> bytes:
    """SHA-256 of the content as the client tells it (I4).

    Key order, file names, the order of the files, boundaries and headers don't matter, and neither
    does whether a file's bytes came along: what the manifest gives no digest for is compared with
    the stored bytes (`completing.contradicted`).
    """
    content = new.model_dump(mode="json", exclude={"attachments": {"__all__": {"name"}}})
    content["attachments"].sort(key=_id_of)
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


def _id_of(file: Json) -> str:
    return str(file["id"])
