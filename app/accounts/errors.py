"""What accounts refuse, and why."""

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


class ResetCodeInvalid(
    Problem,
    status=400,
    code="reset-code-invalid",
    zh="重置码不正确、已使用或已过期，请向安全员重新申请",
    en="The reset code is wrong, used or expired; ask your security officer for a new one",
): ...


class RolesNotSeparated(
    Problem,
    status=409,
    code="roles-not-separated",
    zh="系统管理员、安全员、审计员不得由同一人兼任",
    en="Administrator, security officer and auditor are never the same person",
): ...


class RoleNotForPeople(
    Problem,
    status=422,
    code="role-not-for-people",
    zh="平台角色只能授予平台，不能授予人员",
    en="The platform role is for machines, not for people",
): ...


class OwnAccount(
    Problem,
    status=403,
    code="own-account",
    zh="不能修改自己的角色、状态或重置自己的密码",
    en="Nobody changes their own roles or state, or resets their own password",
): ...


class PersonNotFound(
    Problem, status=404, code="person-not-found", zh="没有找到该人员", en="There is no such person"
): ...


class PersonBeyondScope(
    Problem,
    status=403,
    code="person-beyond-scope",
    zh="该人员还在您管辖范围以外任职，请由上级安全员办理",
    en="This person also holds roles beyond your area; ask the level above",
): ...


class UsernameTaken(
    Problem,
    status=409,
    code="username-taken",
    zh="用户名已被使用",
    en="The user name is taken",
): ...


class UnitNotFound(
    Problem, status=404, code="unit-not-found", zh="没有找到该单位", en="There is no such unit"
): ...


class UnitCodeTaken(
    Problem,
    status=409,
    code="unit-code-taken",
    zh="单位编码已被使用，或该区划已有综治中心",
    en="The unit code is taken, or the area has a centre already",
): ...


class UnitMisplaced(
    Problem,
    status=422,
    code="unit-misplaced",
    zh="单位的层级、区划或上级单位不相符",
    en="The unit's level, area and parent do not fit together",
): ...


class TerminalNotFound(
    Problem,
    status=404,
    code="terminal-not-found",
    zh="没有找到该终端",
    en="There is no such terminal",
): ...


class TerminalTaken(
    Problem,
    status=409,
    code="terminal-taken",
    zh="该终端已登记",
    en="The terminal is registered already",
): ...


class LoginSessionNotFound(
    Problem,
    status=404,
    code="session-not-found",
    zh="没有找到该登录",
    en="There is no such session",
): ...


class PlatformNotFound(
    Problem,
    status=404,
    code="platform-not-found",
    zh="没有找到该平台",
    en="There is no such platform",
): ...


class PlatformCodeTaken(
    Problem,
    status=409,
    code="platform-code-taken",
    zh="平台编码已被使用",
    en="The platform code is taken",
): ...


class ImportUnreadable(
    Problem,
    status=422,
    code="people-import-unreadable",
    zh="无法读取导入的表格：表头应为 {header}",
    en="The table can't be read: its header must be {header}",
): ...
