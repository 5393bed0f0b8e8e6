"""Problem: every expected refusal is a class with a status, a stable code and both languages."""

import json
from typing import Any, ClassVar, Literal

import orjson
from pydantic import BaseModel

PROBLEM_JSON = "application/problem+json"
_SHOWN_BYTES = 8 * 1024
"""A refused writer gets the current representation up to this size."""
Language = Literal["zh-CN", "en"]


def language_asked(accept_language: str) -> Language:
    """English only where it is asked for first; everybody else is answered in Chinese."""
    return "en" if accept_language.strip().lower().startswith("en") else "zh-CN"


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """A refusal. Keyword arguments fill the texts and appear as extension members.

    `class IncidentNotFound(Problem, status=404, code="incident-not-found", zh="…", en="…")`.
    `code` is for programs and never changes; the texts are for people. Source: RFC 9457.
    """

    status: int
    code: ClassVar[str]
    zh: ClassVar[str]
    en: ClassVar[str]
    registry: ClassVar[dict[str, type["Problem"]]] = {}

    def __init_subclass__(cls, *, status: int, code: str, zh: str, en: str) -> None:
        super().__init_subclass__()
        if code in Problem.registry:
            raise TypeError(f"problem code {code!r} is taken by {Problem.registry[code].__name__}")
        cls.status, cls.code, cls.zh, cls.en = status, code, zh, en
        Problem.registry[code] = cls

    def __init__(self, *, headers: dict[str, str] | None = None, **members: Any) -> None:  # noqa: ANN401 - extension members of any JSON shape
        super().__init__(self.code)
        self.headers = headers or {}
        self.members = members

    @property
    def title(self) -> str:
        return self.code.replace("-", " ").capitalize()

    def detail(self, language: Language) -> str:
        template = self.zh if language == "zh-CN" else self.en
        return template.format(**self.members) if "{" in template else template

    def document(self, language: Language, request_id: str) -> bytes:
        """The answer's body. Extension members never override the standard ones."""
        body = {
            **self.members,
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail(language),
            "instance": f"urn:request:{request_id}",
        }
        try:
            return orjson.dumps(body, default=str, option=orjson.OPT_UTC_Z)
        except TypeError:
            # a client's own text with half a surrogate pair: only \u escapes can carry it
            return json.dumps(body, default=str).encode()


class ValidationFailed(
    Problem,
    status=422,
    code="validation-failed",
    zh="提交的内容有误，请按 errors 逐项改正",
    en="The content has mistakes; errors lists each",
): ...


class MalformedJson(
    Problem,
    status=400,
    code="malformed-json",
    zh="请求正文不是有效的 UTF-8 JSON",
    en="The request body is not valid UTF-8 JSON",
): ...


class NotFound(
    Problem, status=404, code="not-found", zh="没有找到所请求的内容", en="Nothing found here"
): ...


class MethodNotAllowed(
    Problem,
    status=405,
    code="method-not-allowed",
    zh="此地址不支持该请求方法",
    en="This address does not support the method",
): ...


class Unauthenticated(
    Problem,
    status=401,
    code="unauthenticated",
    zh="请先登录",
    en="Please sign in first",
):
    def __init__(self, **members: Any) -> None:  # noqa: ANN401 - as Problem
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="etong"'}, **members)


class Forbidden(
    Problem,
    status=403,
    code="forbidden",
    zh="您没有进行此操作的权限",
    en="You do not have the right to do this",
): ...


class PayloadTooLarge(
    Problem,
    status=413,
    code="payload-too-large",
    zh="请求内容过大，超过上限",
    en="The request is larger than allowed",
):
    """`limit` (bytes) is shown as a member where it is known."""


class HeaderTooLarge(
    Problem,
    status=431,
    code="header-too-large",
    zh="请求头过大，超过 {limit} 字节",
    en="The request's headers are larger than {limit} bytes",
): ...


class SenderSilent(
    Problem,
    status=408,
    code="request-timeout",
    zh="等待请求内容超时，请重新发送",
    en="No bytes of the request arrived for too long; send it again",
): ...


class UnsupportedMediaType(
    Problem,
    status=415,
    code="unsupported-media-type",
    zh="不支持这种内容类型",
    en="This content type is not supported",
): ...


class ContentEncodingRefused(
    Problem,
    status=415,
    code="content-encoding-refused",
    zh="不支持这种内容压缩方式（Content-Encoding）",
    en="This Content-Encoding is not supported here",
): ...


class MalformedEncoding(
    Problem,
    status=400,
    code="malformed-encoding",
    zh="压缩的正文已损坏或不完整",
    en="The compressed body is damaged or cut short",
): ...


class CompressedTooMuch(
    Problem,
    status=413,
    code="compressed-too-much",
    zh="正文的压缩比超过 {limit}:1",
    en="The body is compressed by more than {limit}:1",
): ...


class RevisionRequired(
    Problem,
    status=428,
    code="revision-required",
    zh="请带上您看到的版本号（revision 或 If-Match）",
    en="Say which revision you saw (revision or If-Match)",
): ...


class RevisionStale(
    Problem,
    status=412,
    code="revision-stale",
    zh="内容已被更新，请刷新后再操作",
    en="The object has changed meanwhile; refresh and try again",
):
    """`current` is the object as it stands, where it is small enough to be shown."""

    @classmethod
    def over(cls, current: BaseModel, etag: str, **members: int | str) -> "RevisionStale":
        """The refusal of a writer who saw another one than this (S8)."""
        shown = current.model_dump_json().encode()
        if len(shown) > _SHOWN_BYTES:
            return cls(headers={"ETag": etag}, **members)
        return cls(headers={"ETag": etag}, **members, current=orjson.loads(shown))


class CursorInvalid(
    Problem,
    status=400,
    code="cursor-invalid",
    zh="分页游标无效，请从第一页重新开始",
    en="The cursor is not valid; start from the first page",
): ...


class TooManyRequests(
    Problem,
    status=429,
    code="too-many-requests",
    zh="请求过于频繁，请稍后再试",
    en="Too many requests; try again later",
): ...


class Unavailable(
    Problem,
    status=503,
    code="unavailable",
    zh="服务暂时不可用，请稍后重试",
    en="The service is unavailable for the moment; try again",
): ...


class OutcomeUnknown(
    Problem,
    status=503,
    code="outcome-unknown",
    zh="无法确认是否已保存，请原样重发一次",
    en="It is not known whether this was stored; send it again unchanged",
): ...


class InsufficientStorage(
    Problem,
    status=507,
    code="insufficient-storage",
    zh="服务器存储空间不足，请保留在手机中稍后重发",
    en="The server has run out of storage; keep it on the phone and send it again later",
): ...


class HttpRefused(
    Problem, status=400, code="bad-request", zh="请求无法处理", en="The request can't be processed"
): ...


class InternalError(
    Problem,
    status=500,
    code="internal-error",
    zh="服务器内部错误，已记录",
    en="Internal error; it has been recorded",
): ...
