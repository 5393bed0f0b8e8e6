"""Every route says who may call it; what it says is what its code does."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

from app.accounts.dependencies import IdentifiedRoute
from app.accounts.permissions import ROLE_PERMISSIONS, Permission
from tests.guardrails.api import Api

PUBLIC = {
    "issue_token": "signing in",
    "revoke_token": "the token is the permission",
    "reset_own_password": "the one-time code is the permission",
    "download_export": "the signature in the link is the permission",
    "download_file": "the signature in the link is the permission",
    "examine_file": "the signature in the link is the permission",
    "receive_callback": "the platform's signature is the permission",
    "show_liveness": "asked by machines before anybody can sign in",
    "show_readiness": "asked by machines before anybody can sign in",
}
ANYBODY_SIGNED_IN = {
    "read_me": "oneself",
    "list_my_sessions": "oneself",
    "end_my_session": "oneself",
    "change_my_password": "oneself",
    "read_client_config": "what every client must know; holds nothing of anybody",
    "show_health": "numbers about the process; holds nothing of anybody",
}
NOT_ASKED: dict[str, str] = {}
OUTSIDE_THE_DESCRIPTION = {
    "show_metrics": "numbers; the proxy keeps it from the outside",
    "show_landing": "where things are",
    "show_upload_abilities": "OPTIONS of tus, asked before anybody signs in",
    "show_openapi": "the description itself",
    "show_docs": "a page",
    "show_redoc": "a page",
    "show_asset": "a page's scripts and styles",
    "list_problems": "the texts of refusals",
    "show_problem": "the texts of refusals",
}


def routes(app: FastAPI) -> Iterator[RouteContext]:
    return (context for context in iter_route_contexts(app.routes) if context.methods)


def test_every_route_names_its_permission(api: Api) -> None:
    silent = {
        operation.name
        for operation in api.operations()
        if operation.permission is None and operation.name not in PUBLIC | ANYBODY_SIGNED_IN
    }
    assert not silent, f"add Depends(require(Permission.…)), or a reason in {__file__}: {silent}"


def test_the_lists_of_exceptions_are_not_longer_than_needed(api: Api) -> None:
    public = {operation.name for operation in api.operations() if operation.public}
    unguarded = {o.name for o in api.operations() if not o.public and o.permission is None}
    assert public == set(PUBLIC)
    assert unguarded == set(ANYBODY_SIGNED_IN)


def test_nothing_is_served_beside_the_description(app: FastAPI, api: Api) -> None:
    described = {operation.name for operation in api.operations()}
    served = {str(context.name) for context in routes(app)}
    assert served - described == set(OUTSIDE_THE_DESCRIPTION)


def test_every_operation_is_named_after_its_function(app: FastAPI, api: Api) -> None:
    functions = {
        (context.path_format, method.lower()): getattr(context.endpoint, "__name__", "")
        for context in routes(app)
        for method in context.methods or ()
    }
    for operation in api.operations():
        assert operation.name == functions[operation.path, operation.method]


def test_every_permission_is_asked_by_a_route_and_held_by_a_role(api: Api) -> None:
    asked = {operation.permission for operation in api.operations()} - {None}
    held = {str(permission) for granted in ROLE_PERMISSIONS.values() for permission in granted}
    assert {str(permission) for permission in Permission} == held
    assert held - asked == set(NOT_ASKED)


def test_m1_who_is_calling_is_asked_before_a_json_body_is_read(app: FastAPI, api: Api) -> None:
    secured = {operation.name for operation in api.operations() if not operation.public}
    for context in routes(app):
        if context.name in secured and getattr(context, "body_field", None) is not None:
            message = f"{context.name}: APIRouter(…, route_class=IdentifiedRoute)"
            assert isinstance(context.original_route, IdentifiedRoute), message


def test_refusals_of_the_door_are_declared(api: Api) -> None:
    for operation in api.operations():
        responses = operation.described["responses"]
        if operation.public:
            continue
        assert "unauthenticated" in responses["401"]["x-codes"], operation.name
        if operation.permission:
            assert "forbidden" in responses["403"]["x-codes"], operation.name
