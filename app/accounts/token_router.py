"""Signing in and out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from app.accounts.dependencies import (
    ChangesRights,
    IdentifiedRoute,
    address_of,
    form_in_openapi,
    form_of,
    no_store,
)
from app.accounts.login import Attempt, sign_in, sign_in_platform
from app.accounts.passwords import reset_password
from app.accounts.schemas import PasswordResetCommand, RevokedView, RevokeForm, TokenForm, TokenView
from app.accounts.sign_in_errors import (
    AccountLocked,
    FormIncomplete,
    InvalidCredentials,
    MalformedForm,
    PasswordTooWeak,
    PasswordUsedBefore,
    RefreshTokenInvalid,
    RefreshTokenReused,
    ResetCodeInvalid,
    TerminalPending,
    TerminalRevoked,
    UnsupportedGrantType,
)
from app.accounts.tokens import PresentedToken, TokenPair, refresh, revoke
from app.core.errors import (
    PayloadTooLarge,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.core.http import TheResources, problems
from app.core.resources import Resources

router = APIRouter(tags=["token"], dependencies=[Depends(no_store)], route_class=IdentifiedRoute)


@router.post(
    "/token",
    responses=problems(
        InvalidCredentials,
        RefreshTokenInvalid,
        RefreshTokenReused,
        AccountLocked,
        TerminalRevoked,
        TerminalPending,
        UnsupportedGrantType,
        FormIncomplete,
        MalformedForm,
        PayloadTooLarge,
        UnsupportedMediaType,
        ValidationFailed,
        Unavailable,
    ),
    openapi_extra=form_in_openapi(TokenForm),
)
async def issue_token(
    request: Request,
    resources: TheResources,
    form: Annotated[TokenForm, Depends(form_of(TokenForm))],
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> TokenView:
    """Sign in (`password`), go on (`refresh_token`), or sign in a platform.

    A refresh token is used once. A phone that may lose the answer sends an `Idempotency-Key`; the
    same request with the same key and terminal, within a minute, gets a fresh pair once. Any other
    second use ends the session.
    """
    address = address_of(request)
    if form.grant_type == "password":
        pair = await sign_in(resources, _attempt(form, address))
    elif form.grant_type == "refresh_token":
        pair = await _refresh(resources, form, idempotency_key)
    elif form.grant_type == "client_credentials":
        client_id, secret = _demanded(form, "client_id", "client_secret")
        pair = await sign_in_platform(resources, client_id, secret, address)
    else:
        raise UnsupportedGrantType
    return TokenView.model_validate(pair)


@router.post(
    "/token/revoke",
    responses=problems(MalformedForm, PayloadTooLarge, UnsupportedMediaType, ValidationFailed),
    openapi_extra=form_in_openapi(RevokeForm),
)
async def revoke_token(
    resources: TheResources,
    session: ChangesRights,
    form: Annotated[RevokeForm, Depends(form_of(RevokeForm))],
) -> RevokedView:
    """Sign out: ends the session of an access or refresh token. An unknown token is fine."""
    await revoke(session, resources, form.token)
    return RevokedView()


@router.post(
    "/password-reset",
    status_code=204,
    responses=problems(
        ResetCodeInvalid, AccountLocked, PasswordTooWeak, PasswordUsedBefore, ValidationFailed
    ),
)
async def reset_own_password(
    request: Request, resources: TheResources, command: PasswordResetCommand
) -> Response:
    """Set a new password with the one-time code of a security officer. All sessions end."""
    await reset_password(
        resources,
        username=command.username,
        code=command.code.strip().upper(),
        new=command.new_password,
        address=address_of(request),
    )
    return Response(status_code=204)


async def _refresh(resources: Resources, form: TokenForm, key: str | None) -> TokenPair:
    (token,) = _demanded(form, "refresh_token")
    return await refresh(resources, PresentedToken(token, form.terminal_id, key))


def _attempt(form: TokenForm, address: str) -> Attempt:
    username, password = _demanded(form, "username", "password")
    return Attempt(
        username=username,
        password=password,
        address=address,
        terminal_id=form.terminal_id,
        model=form.terminal_model,
        app_version=form.app_version,
    )


def _demanded(form: TokenForm, *names: str) -> tuple[str, ...]:
    values = [getattr(form, name) for name in names]
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if missing:
        raise FormIncomplete(fields=", ".join(missing))
    return tuple(values)
