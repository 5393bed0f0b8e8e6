"""What `mobile_contract/` is made of: pure functions from the application to text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import Problem

Json = dict[str, Any]

ADVICE = {
    400: "a mistake of the program: correct the request, do not repeat it",
    401: "sign in again (refresh first), then repeat",
    403: "do not offer this; read `allowed_actions` and `/v1/me` again",
    404: "it does not exist for this person; forget it or refresh the list",
    405: "a mistake of the program",
    408: "repeat as soon as the link carries bytes",
    409: "read the object again and show its `allowed_actions`",
    410: "it is gone for good; stop asking",
    412: "read the object again, show what changed, let the person decide",
    413: "too large: shrink or split, `GET /v1/client-config` has the limits",
    415: "another type or encoding is needed; do not repeat unchanged",
    416: "begin the download again without a range",
    422: "show `errors` or `detail` at the fields; do not repeat unchanged",
    423: "wait as long as `Retry-After` says",
    428: "send the `revision` that was seen",
    429: "wait as long as `Retry-After` says, then repeat",
    431: "a mistake of the program: send smaller headers",
    460: "the chunk was damaged on the way: send it again from the same offset",
    500: "repeat later with growing pauses; the report stays in the outbox",
    503: "repeat after `Retry-After`; the report stays in the outbox",
    507: "repeat later with growing pauses; the report stays in the outbox",
}
"""By status; a code that needs other words stands in SPECIAL."""
SPECIAL = {
    "account-locked": "show the waiting time; do not try again before it is over",
    "action-forbidden": "read the incident again and offer only `allowed_actions`",
    "attachment-immutable": "give the new picture an id of its own",
    "attachments-differ": "hash the named files again and send the report with a true manifest",
    "callback-unauthenticated": "platforms only: sign the very bytes you send, and date them now",
    "digest-mismatch": "the bytes were damaged on the way: repeat unchanged",
    "idempotency-key-mismatch": "leave the header out: the report's id is the key",
    "idempotency-key-reused": "this id is taken by another content: give the new matter a new id",
    "incident-deleted": "mark it as deleted and take it out of the outbox",
    "incident-not-found": "asked for a receipt: the report never arrived, send it; else forget it",
    "invalid-credentials": "ask for name and password again",
    "link-expired": "read the incident again: it has fresh links",
    "multipart-truncated": "the link broke: ask for the receipt, then send again",
    "offset-differs": "go on at `Upload-Offset`",
    "offset-stream-expected": "a mistake of the program: chunks have a type of their own",
    "outcome-unknown": "repeat unchanged: the receipt tells",
    "password-change-required": "show the form for a new password; nothing else works before",
    "refresh-token-invalid": "ask for name and password again",
    "refresh-token-reused": "somebody used the token before: ask for name and password again",
    "session-ended": "ask for name and password again",
    "terminal-pending": "tell the person to ask the security officer",
    "terminal-revoked": "forget everything on this terminal",
    "tus-version-unsupported": "a mistake of the program: send `Tus-Resumable: 1.0.0`",
    "upload-attached": "the file is part of the report now: forget the upload",
    "upload-differs": "give the other file an attachment id of its own",
    "upload-expired": "begin the upload anew",
    "upload-lost": "begin the upload anew",
    "upload-overflows": "ask HEAD and go on at `Upload-Offset`",
    "token-expired": "refresh, then repeat",
    "token-invalid": "ask for name and password again",
    "unauthenticated": "sign in, then repeat",
    "unavailable": "repeat after `Retry-After`; the report stays in the outbox",
}


EVERYWHERE = {
    "forbidden",
    "malformed-json",
    "operation-key-malformed",
    "operation-key-reused",
    "password-change-required",
    "payload-too-large",
    "session-ended",
    "token-expired",
    "token-invalid",
    "too-many-requests",
    "unauthenticated",
    "validation-failed",
}
"""Of nearly every operation: naming some would mislead."""
ERRORS_HEAD = """\
# Errors

Every refusal is `application/problem+json` (RFC 9457). Go by `code`: it never changes. `detail` is
for people, in the language of `Accept-Language` (English where it is asked for first, else
Chinese). A code that is not listed here is treated like its status.

| status | code | 中文 | English | the phone | where |
|---|---|---|---|---|---|"""


def product_problems() -> Sequence[type[Problem]]:
    """Without the kinds that tests make for themselves."""
    kinds = sorted(Problem.registry.values(), key=lambda kind: (kind.status, kind.code))
    return [kind for kind in kinds if kind.__module__.startswith("app.")]


def openapi_text(document: Json) -> str:
    """In a stable order, with every path on its own lines, so that a change is a short diff."""
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def errors_text(document: Json) -> str:
    """The catalogue of refusals, as a table of Markdown."""
    where = _operations_by_code(document)
    lines = [ERRORS_HEAD]
    for kind in product_problems():
        advice = SPECIAL.get(kind.code) or ADVICE[kind.status]
        places = where.get(kind.code, [])
        named = ", ".join(f"`{name}`" for name in places[:4]) + (" …" if len(places) > 4 else "")
        cells = (str(kind.status), f"`{kind.code}`", kind.zh, kind.en, advice, named or "any")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def example_texts(examples: Mapping[str, Json]) -> dict[str, str]:
    """File name → text, numbered in the order in which things happened."""
    return {
        f"{number:02}-{name}.json": json.dumps(example, ensure_ascii=False, indent=2) + "\n"
        for number, (name, example) in enumerate(examples.items(), start=1)
    }


def _operations_by_code(document: Json) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in document["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                for code in response.get("x-codes", []):
                    found.setdefault(code, []).append(operation["operationId"])
    return {code: sorted(names) for code, names in found.items() if code not in EVERYWHERE}
