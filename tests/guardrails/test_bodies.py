"""What every operation with a body does with its form: M15; and with a repeat of it: I11."""

import gzip
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from app.accounts.dependencies import IdentifiedRoute
from tests.district import DatabaseServer
from tests.guardrails.api import Api, Operation
from tests.guardrails.test_routes import routes
from tests.guardrails.visits import CAST, Visitors, granted, opened_visitors

BOUNDARY = "b"
KEYED_BY_ITSELF = {
    "report_incident": "the report's own id is the key (I2)",
    "supplement_incident": "the supplement's own id is the key",
    "create_upload": "the attachment's id is the key (U5)",
    "append_upload": "the offset is: the same bytes once more are 409 (U7)",
    "change_upload": "as append_upload and withdraw_upload",
    "withdraw_upload": "what is gone stays gone",
    "put_attachment": "the same bytes once more are welcome, other ones refused (M8)",
    "import_areas": "the same rows once more change nothing",
    "receive_callback": "the message's signed webhook-id is the key (W16)",
    "preview_routing": "writes nothing",
    "find_similar_incidents": "writes nothing",
    "start_routing_dry_run": "changes nothing; its row is the answer",
    "change_my_password": "what is the password already needs no change",
    "reset_own_password": "what is the password already needs no change",
    "issue_token": "signing in twice is two sessions; refreshing takes the key itself",
}
"""Unsafe operations without the kept answer, and why a repeat of them is harmless."""


@pytest.fixture(scope="module")
async def visitors(server: DatabaseServer, district_template: str) -> AsyncIterator[Visitors]:
    name = server.create(template=district_template)
    async with opened_visitors(server.url(name)) as visitors:
        yield visitors
    server.drop(name)


_PLAIN = {
    "import_areas": "16 MiB plain; a megabyte unpacked would not hold a district",
    "receive_callback": "the signature is over the bytes that came (W16)",
}
"""JSON that is not read in gzip, and why."""


def _unsafe(api: Api) -> list[Operation]:
    return [each for each in api.operations() if each.method not in {"get", "head"}]


async def _refusal(
    visitors: Visitors, operation: Operation, kind: str, encoding: str, body: bytes
) -> tuple[int, str, str]:
    """Status, code and Accept-Encoding told to somebody who may."""
    client = visitors.clients[next(name for name in CAST if granted(name, operation))]
    parameter = f"; boundary={BOUNDARY}" if kind == "multipart/form-data" else ""
    headers = {"Content-Type": kind + parameter, "Content-Encoding": encoding, "If-Match": '"1"'}
    answer = await client.request(
        operation.method, visitors.path(operation), content=body, headers=headers
    )
    told = answer.json()
    return answer.status_code, told["code"], answer.headers.get("accept-encoding", "")


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
async def test_m15_no_body_is_taken_in_an_encoding_nobody_reads(
    visitors: Visitors, api: Api, encoding: str
) -> None:
    wrong = []
    for operation in _unsafe(api):
        for kind in api.bodies(operation):
            told = await _refusal(visitors, operation, kind, encoding, b"{}")
            if told[:2] != (415, "content-encoding-refused") or "identity" not in told[2]:
                wrong.append((operation.name, kind, told))
    assert wrong == []


async def test_m15_gzip_is_read_on_json_and_refused_on_everything_else(
    visitors: Visitors, api: Api
) -> None:
    """A JSON list is nobody's command: that it is told so shows that it was read."""
    wrong = []
    for operation in _unsafe(api):
        for kind in api.bodies(operation):
            told = await _refusal(visitors, operation, kind, "gzip", gzip.compress(b"[]"))
            wanted = (
                (422, "validation-failed", "")
                if kind == "application/json" and operation.name not in _PLAIN
                else (415, "content-encoding-refused", "identity")
            )
            if told != wanted:
                wrong.append((operation.name, kind, told))
    assert wrong == []


async def test_m15_damaged_gzip_is_told_as_such_everywhere(visitors: Visitors, api: Api) -> None:
    wrong = []
    for operation in _unsafe(api):
        if set(api.bodies(operation)) == {"application/json"} and operation.name not in _PLAIN:
            told = await _refusal(visitors, operation, "application/json", "gzip", b"{}")
            if told[:2] != (400, "malformed-encoding"):
                wrong.append((operation.name, told))
    assert wrong == []


def test_i11_every_unsafe_operation_takes_a_key_or_is_harmless_twice(api: Api) -> None:
    keyed = {each.name for each in _unsafe(api) if _takes_key(each)}
    others = {each.name for each in _unsafe(api)} - keyed
    assert others == set(KEYED_BY_ITSELF)


def test_i11_the_answer_of_a_keyed_operation_is_kept(app: FastAPI, api: Api) -> None:
    """Only such a route hands its answer to the transaction that keeps it."""
    keyed = {each.name for each in _unsafe(api) if _takes_key(each) and not each.public}
    for context in routes(app):
        if context.name in keyed:
            assert isinstance(context.original_route, IdentifiedRoute), context.name


def _takes_key(operation: Operation) -> bool:
    """`_KEY` of the description: it stands where the transaction of a request does."""
    return any(each["name"] == "Idempotency-Key" for each in operation.parameters)
