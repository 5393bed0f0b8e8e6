"""H19: every operation, whatever it is sent and whoever sends it, answers as the contract says.

The contract is the published one (`mobile_contract/openapi.json`; a guardrail holds it to the
code). Bounded: the same cases in every run; `ETONG_FUZZ_EXAMPLES=200` looks longer and farther.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import structlog
from schemathesis import BaseSchema, Response
from schemathesis.config import SchemathesisConfig

from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.core.errors import PROBLEM_JSON, Problem
from app.core.sheets import SHEETS
from tests.contract.aiming import Sent, aim, name_of
from tests.contract.live import ADMIN, AUDITOR, DESK, SECURITY, WORKER, Live, served
from tests.district import DatabaseServer
from tests.guardrails.api import Api

CONTRACT = Path(__file__).parents[2] / "mobile_contract" / "openapi.json"
EXAMPLES = int(os.environ.get("ETONG_FUZZ_EXAMPLES", "4"))
CAST = {
    WORKER: Role.GRID_WORKER,
    DESK: Role.DISPATCHER,
    ADMIN: Role.ADMINISTRATOR,
    SECURITY: Role.SECURITY_OFFICER,
    AUDITOR: Role.AUDITOR,
}
"""Together they hold every permission that a route asks for."""
CHECKS = ("not_a_server_error", "content_type_conformance", "response_schema_conformance")
"""Not asked: that valid data is taken (a made-up unit does not exist), and that every scalar of
another type is refused (`"7"` is read as 7)."""
STREAM = "stream_inbox"
"""Ends after ten minutes: its first event is read, `hello`, and then the client leaves. A schema of
the whole answer can't be held against one event of it."""
ANY_OPERATION = {
    "method-not-allowed": "the framework's own",
    "not-found": "the framework's own, of a path that no route has",
    "unsupported-media-type": "the framework's own",
}
"""Codes that need not stand with the operation."""
_BY_HEADERS = "its version and offset stand in headers; tests/incidents/test_uploads.py does it"
NEVER_DONE = {
    "append_upload": _BY_HEADERS,
    "change_upload": _BY_HEADERS,
    "create_upload": _BY_HEADERS,
    "examine_upload": _BY_HEADERS,
    "withdraw_upload": _BY_HEADERS,
    "read_callback": "there is one only after a platform has signed it; tests/webhooks do",
    "receive_callback": "its bytes have to be signed; tests/webhooks do",
    "download_export": "its link is signed, and its file is made by a worker; tests/incidents do",
    "import_categories": "its rows have to be a table; tests/categories do",
    "import_limits": "as import_categories",
    "import_units": "as import_categories; tests/accounts do",
    "replace_routing_rules": "its rules name units and hours that go together; tests/routing do",
    "activate_routing_rules": "as replace_routing_rules",
    "read_routing_dry_run": "there is one only after a long run; tests/routing do",
    "open_sealed_incident": "nothing here is sealed; tests/incidents/test_openings.py does it",
    "break_glass_of_sealed_incident": "as open_sealed_incident",
    "replace_clearances": "as open_sealed_incident",
    "dismiss_cluster_link": "matters have to be alike; tests/incidents/test_similar.py does it",
    "restore_cluster_link": "as dismiss_cluster_link",
    "change_my_password": "the cast's password has to stay what it is",
    "open_callback_adapter": "its networks and headers agree with each other; tests/webhooks do",
    "pause_webhook_endpoint": "it is active only after its platform has answered",
    "resume_webhook_endpoint": "it is active only after its platform has answered",
    "reset_own_password": "the code is shown once, to a security officer",
}
"""Operations that no generated request can carry out."""


def contract() -> dict[str, Any]:
    """A pair of two equal things is said with `items`: schemathesis misreads `prefixItems`."""

    def plain(node: Any) -> Any:
        if isinstance(node, list):
            return [plain(each) for each in node]
        if not isinstance(node, dict):
            return node
        pair = node.get("prefixItems", [])
        alike = {"items": pair[0]} if pair and pair.count(pair[0]) == len(pair) else {}
        kept = {name: each for name, each in node.items() if not (alike and name == "prefixItems")}
        return {name: plain(each) for name, each in (kept | alike).items()}

    document: dict[str, Any] = plain(json.loads(CONTRACT.read_text("utf-8")))
    return document


@schemathesis.serializer("application/offset+octet-stream")
def as_it_is(_context: Any, value: Any) -> bytes:
    """The bytes of a resumable upload."""
    return value if isinstance(value, bytes) else str(value).encode()


schemathesis.serializer.alias(SHEETS[1], "application/offset+octet-stream")


DOCUMENT = contract()
OPERATIONS = {operation.name: operation for operation in Api(DOCUMENT).operations()}


def schema(*, examples: int, boundaries: bool) -> BaseSchema:
    """`boundaries`: also every edge that a schema draws, one by one."""
    phases = {
        "examples": {"enabled": boundaries},
        "coverage": {"enabled": boundaries, "unexpected-methods": ["delete", "trace"]},
        "fuzzing": {"extra-data-sources": {"responses": False}},
    }
    config = {
        "seed": 1,
        "max-stream-events": 1,
        "generation": {
            "max-examples": examples,
            "deterministic": True,
            "with-security-parameters": False,
            "database": "none",
        },
        "phases": phases,
        "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
        "operations": [
            {
                "include-operation-id": STREAM,
                "checks": {"response_schema_conformance": {"enabled": False}},
            }
        ],
    }
    known = SchemathesisConfig.from_dict(config)
    return schemathesis.openapi.from_dict(DOCUMENT, config=known)


def _who_may(name: str) -> str:
    permission = OPERATIONS[name].permission
    return next(
        username
        for username, role in CAST.items()
        if permission is None or Permission(permission) in ROLE_PERMISSIONS[role]
    )


@pytest.fixture(scope="module")
def live(server: DatabaseServer, district_template: str) -> Iterator[Live]:
    name = server.create(template=district_template)
    # thousands of lines about requests would hide the one that matters
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with served(server.url(name)) as live:
        yield live
    structlog.reset_defaults()
    server.drop(name)


# each has a parameter of pytest's own: without one all operations share one name, and tests that
# are spread over workers by their names would run one of them
@pytest.mark.parametrize("sender", [_who_may], ids=["who may"])
@schema(examples=EXAMPLES, boundaries=True).parametrize()
def test_h19_whatever_is_sent_the_answer_is_in_the_contract(
    case: Sent, live: Live, sender: Callable[[str], str]
) -> None:
    username = sender(name_of(case))
    aim(case, live, username)
    _check(case, live, _send(case, live, username))


@pytest.mark.parametrize("username", CAST)
@schema(examples=2, boundaries=False).parametrize()
def test_h19_whoever_sends_it_the_answer_is_in_the_contract(
    case: Sent, live: Live, username: str
) -> None:
    aim(case, live, username)
    _check(case, live, _send(case, live, username))


@pytest.mark.parametrize("token", [None, "Bearer nobodys"])
@schema(examples=2, boundaries=False).parametrize()
def test_h12_without_a_token_nothing_else_is_looked_at(
    case: Sent, live: Live, token: str | None
) -> None:
    response = case.call(live.url, live.session, {"Authorization": token} if token else {})
    _check(case, live, response)
    if not OPERATIONS[name_of(case)].public:
        assert response.status_code == 401, response.text
        assert "www-authenticate" in response.headers


def test_h19_every_operation_was_carried_out_and_refused(live: Live) -> None:
    """Else nothing of the above says much: an operation whose every answer is 404 was not tried."""
    if live.answered.keys() != OPERATIONS.keys():
        pytest.skip("only a part of the operations was asked")
    done = {name for name, found in live.answered.items() if min(found) < 400}
    differ = (OPERATIONS.keys() - done) ^ NEVER_DONE.keys()
    assert not differ, " ".join(sorted(differ))
    refused = {name for name, found in live.answered.items() if max(found) >= 400}
    assert OPERATIONS.keys() - refused <= {"show_liveness", "show_readiness"}


def _send(case: Sent, live: Live, username: str) -> Response:
    response = case.call(live.url, live.session, live.headers(username))
    if response.status_code == 401 and not OPERATIONS[name_of(case)].public:
        # a request before this one has ended the session
        response = case.call(live.url, live.session, live.sign_in(username))
        assert response.status_code != 401, response.text
    return response


def _check(case: Sent, live: Live, response: Response) -> None:
    case.validate_response(response)
    described = OPERATIONS[name_of(case)].described["responses"]
    live.answered.setdefault(name_of(case), set()).add(response.status_code)
    if response.status_code < 400:
        assert str(response.status_code) in described, case.as_curl_command()
    else:
        codes = described.get(str(response.status_code), {}).get("x-codes", [])
        _check_problem(case, response, {*codes, *ANY_OPERATION})
    if name_of(case) == STREAM and response.status_code == 200:
        assert response.content.startswith(b"retry: "), response.text
        assert b"event: hello\ndata: {" in response.content


def _check_problem(case: Sent, response: Response, documented: set[str]) -> None:
    sent = case.as_curl_command()
    assert response.headers["content-type"] == [PROBLEM_JSON], sent
    if case.method == "HEAD":
        return
    problem = response.json()
    kind = Problem.registry[problem["code"]]
    assert kind.__module__.startswith("app."), sent
    assert problem["code"] in documented, f"{problem['code']} is not documented: {sent}"
    assert problem["type"] == f"/problems/{kind.code}", sent
    assert problem["status"] == response.status_code, sent
    assert kind.status == response.status_code, sent
    assert problem["instance"] == f"urn:request:{response.headers['x-request-id'][0]}", sent
