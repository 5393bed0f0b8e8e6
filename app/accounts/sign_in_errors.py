"""What is refused at the door: tokens, passwords, terminals."""

from typing import Any

from app.core.errors import Problem

_BAD_BEARER = 'Bearer realm="etong", error="invalid_token"'


class TokenInvalid(
    Problem,
    status=401,
    code="token-invalid",
    zh="登录凭证无效，请重新登录",
    en="The access token is not valid; please sign in again",
):
    """Altered, of another kind, or not a token at all."""

    def __init__(self, **members: Any) -> None:  # noqa: ANN401 - as Problem
        super().__init__(headers={"WWW-Authenticate": _BAD_BEARER}, **members)


class TokenExpired(
    Problem,
    status=401,
    code="token-expired",
    zh="登录凭证已过期，请刷新后再试",
    en="The access token has expired; refresh it",
):
    def __init__(self, **members: Any) -> None:  # noqa: ANN401 - as Problem
        super().__init__(headers={"WWW-Authenticate": _BAD_BEARER}, **members)


class SessionEnded(
    Problem,
    status=401,
    code="session-ended",
    zh="登录已失效，请重新登录",
    en="This session has ended; please sign in again",
):
    """Signed out, revoked, expired, or its account was disabled."""

    def __init__(self, **members: Any) -> None:  # noqa: ANN401 - as Problem
        super().__init__(headers={"WWW-Authenticate": _BAD_BEARER}, **members)


class InvalidCredentials(
    Problem,
    status=401,
    code="invalid-credentials",
    zh="用户名或密码不正确",
    en="The user name or the password is not right",
):
    """Also said to unknown and disabled accounts: nobody learns which names exist."""

    def __init__(self, **members: Any) -> None:  # noqa: ANN401 - as Problem
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="etong"'}, **members)


class RefreshTokenInvalid(
    Problem,
    status=401,
    code="refresh-token-invalid",
    zh="刷新凭证无效或已过期，请重新登录",
    en="The refresh token is not valid or has expired; please sign in again",
):
    def __init__(self, **members: Any) -> None:  # noqa: ANN401 - as Problem
        super().__init__(headers={"WWW-Authenticate": _BAD_BEARER}, **members)


class RefreshTokenReused(
    Problem,
    status=401,
    code="refresh-token-reused",
    zh="刷新凭证被重复使用，为安全起见该登录已全部失效，请重新登录",
    en="The refresh token was used twice; for safety this sign-in has ended, please sign in again",
):
    def __init__(self, **members: Any) -> None:  # noqa: ANN401 - as Problem
        super().__init__(headers={"WWW-Authenticate": _BAD_BEARER}, **members)


class AccountLocked(
    Problem,
    status=423,
    code="account-locked",
    zh="密码错误次数过多，已暂时锁定，请在 {retry_after} 秒后再试",
    en="Too many wrong passwords; locked for {retry_after} seconds",
):
    """The same for names that exist and names that don't."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)}, retry_after=retry_after)


class TerminalRevoked(
    Problem,
    status=403,
    code="terminal-revoked",
    zh="此终端已被停用，请联系安全员",
    en="This terminal has been revoked; ask your security officer",
): ...


class TerminalPending(
    Problem,
    status=403,
    code="terminal-pending",
    zh="此终端正在等待安全员批准，批准后即可登录",
    en="This terminal waits for the approval of a security officer",
): ...


class UnsupportedGrantType(
    Problem,
    status=400,
    code="unsupported-grant-type",
    zh="不支持的 grant_type，应为 password、refresh_token 或 client_credentials",
    en="grant_type must be password, refresh_token or client_credentials",
): ...


class MalformedForm(
    Problem,
    status=400,
    code="malformed-form",
    zh="请求正文不是有效的 UTF-8 表单",
    en="The request body is not a valid UTF-8 form",
): ...


class FormIncomplete(
    Problem,
    status=400,
    code="form-incomplete",
    zh="表单缺少必填项：{fields}",
    en="The form lacks: {fields}",
): ...


class PasswordChangeRequired(
    Problem,
    status=403,
    code="password-change-required",
    zh="请先修改密码再继续使用",
    en="Please change your password first",
):
    """Until then only /me, /me/password and signing out answer."""


class PasswordTooWeak(
    Problem,
    status=422,
    code="password-too-weak",
    zh="密码不符合要求：至少 10 个字符，含大写、小写、数字、符号中的三类，且不含用户名",
    en="The password needs 10 characters, 3 of upper case, lower case, digits and signs, "
    "and must not contain the user name",
):
    """`reasons` lists what is missing: length, kinds, user-name, control-character."""


class PasswordUsedBefore(
    Problem,
    status=422,
    code="password-used-before",
    zh="不能使用最近五次用过的密码",
    en="The last five passwords can't be used again",
): ...


class OldPasswordWrong(
    Problem,
    status=403,
    code="old-password-wrong",
    zh="原密码不正确",
    en="The present password is not right",
):
    """Not 401: the session itself is fine."""


class ResetCodeInvalid(
    Problem,
    status=400,
    code="reset-code-invalid",
    zh="重置码不正确、已使用或已过期，请向安全员重新申请",
    en="The reset code is wrong, used or expired; ask your security officer for a new one",
): ...
