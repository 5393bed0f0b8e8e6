"""What was wrong with a request, per field, in the reader's language."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import Language

_ZH = {
    "missing": "缺少必填项",
    "extra_forbidden": "不认识的字段",
    "string_too_long": "内容过长，最多 {max_length} 个字符",
    "string_too_short": "内容过短，至少 {min_length} 个字符",
    "string_type": "应为文本",
    "string_pattern_mismatch": "格式不对",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "float_type": "应为数字",
    "float_parsing": "应为数字",
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "finite_number": "应为有限的数字",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "greater_than": "应大于 {gt}",
    "less_than": "应小于 {lt}",
    "literal_error": "应为其中之一：{expected}",
    "enum": "应为其中之一：{expected}",
    "too_long": "数量过多，最多 {max_length} 项",
    "too_short": "数量过少，至少 {min_length} 项",
    "uuid_parsing": "不是有效的 UUID",
    "uuid_type": "不是有效的 UUID",
    "datetime_parsing": "不是有效的时间（RFC 3339）",
    "datetime_from_date_parsing": "不是有效的时间（RFC 3339）",
    "timezone_aware": "时间必须带时区",
    "date_from_datetime_parsing": "不是有效的日期",
    "date_parsing": "不是有效的日期",
    "list_type": "应为列表",
    "dict_type": "应为对象",
    "model_type": "应为对象",
    "model_attributes_type": "应为对象",
    "string_unicode": "不是有效的 Unicode 文本",
    "nul_character": "不能含有 NUL 字符",
    "year_out_of_range": "年份应在 1970 至 2200 之间",
    "int_from_float": "应为整数",
    "int_parsing_size": "数字过大",
    "multiple_of": "应为 {multiple_of} 的整数倍",
    "datetime_type": "不是有效的时间（RFC 3339）",
    "datetime_object_invalid": "不是有效的时间（RFC 3339）",
    "date_type": "不是有效的日期",
    "date_from_datetime_inexact": "不是有效的日期",
    "uuid_version": "UUID 的版本不对",
    "url_parsing": "不是有效的网址",
    "url_scheme": "网址的协议不对",
    "url_type": "不是有效的网址",
    "tuple_type": "应为列表",
    "set_type": "应为列表",
    "frozen_set_type": "应为列表",
    "none_required": "应为空",
    "union_tag_invalid": "应为其中之一：{expected_tags}",
    "union_tag_not_found": "缺少必填项",
    "value_error": "内容不对",
}
_MOST = 50
"""Findings shown: a megabyte of unknown fields must not come back as ten."""
_LONGEST_POINTER = 200
_SOURCES = {"body", "query", "path", "header", "cookie"}


def explain(found: Sequence[Mapping[str, Any]], language: Language) -> list[dict[str, str]]:
    """Pydantic's findings as `{pointer, code, message}`; `pointer` is RFC 6901 below its source.

    A finding may bring its own Chinese text: `PydanticCustomError(…, …, {"zh": "…"})`.
    """
    return [
        {
            "pointer": _pointer(error["loc"]),
            "code": str(error["type"]).replace("_", "-"),
            "message": _message(error, language),
        }
        for error in found[:_MOST]
    ]


def _pointer(location: Sequence[Any]) -> str:
    source, *path = location or ("body",)
    head = "" if source == "body" else f"{source}:" if source in _SOURCES else f"/{source}"
    tail = "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in path)
    return (head + tail)[:_LONGEST_POINTER]


def _message(error: Mapping[str, Any], language: Language) -> str:
    facts = error.get("ctx") or {}
    template = facts.get("zh") or _ZH.get(str(error["type"]))
    if language == "en" or template is None:
        return str(error["msg"])
    try:
        return str(template).format(**facts)
    except (KeyError, IndexError):
        return str(error["msg"])
