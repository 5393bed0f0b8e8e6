"""What an import has to say about its rows and polygons, in both languages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app.core.db import Json
from app.core.validation import explain

_TEXTS: dict[str, tuple[str, str]] = {
    "bad-encoding": (
        "文件既不是 UTF-8 也不是 GB18030 编码，请另存为 UTF-8 的 CSV",
        "The file is neither UTF-8 nor GB18030; save it as UTF-8 CSV",
    ),
    "broken-csv": ("此行不是有效的 CSV：{why}", "This line is not valid CSV: {why}"),
    "missing-column": ("缺少列 {column}", "The column {column} is missing"),
    "duplicate-column": ("列 {column} 重复", "The column {column} appears twice"),
    "unknown-column": ("不认识的列 {column}，已忽略", "Unknown column {column}, ignored"),
    "wrong-cell-count": (
        "此行有 {cells} 个单元格，应为 {columns} 个",
        "The line has {cells} cells instead of {columns}",
    ),
    "bad-value": ("{column}：{zh}", "{column}: {en}"),
    "half-point": ("lon 与 lat 必须同时填写", "lon and lat are given together or not at all"),
    "duplicate-code": (
        "代码重复，第 {first} 行已经出现过",
        "The code is used twice; line {first} has it already",
    ),
    "missing-parent": ("上级区划 {parent} 不存在", "The parent {parent} does not exist"),
    "wrong-level-order": (
        "{level} 的上级应为 {expected}，现为 {found}",
        "The parent of a {level} is {expected}, not {found}",
    ),
    "grid-too-large": (
        "网格有 {households} 户、{population} 人，超过 300 户或 1000 人的标准",
        "{households} households, {population} people: above the rule of 300 or 1,000",
    ),
    "not-geojson": (
        "应为 GeoJSON 的 FeatureCollection 或 Feature",
        "This is no GeoJSON FeatureCollection or Feature",
    ),
    "feature-without-code": (
        "图形的 properties 中没有 code",
        "The feature has no code in its properties",
    ),
    "unknown-code": ("图形的代码不存在", "The polygon's code does not exist"),
    "duplicate-polygon": ("同一代码有多个图形", "There is more than one polygon for this code"),
    "broken-polygon": (
        "不是有效的多边形（经度在前、纬度在后，每个环至少四个点）",
        "This is no valid polygon (longitude first, at least four positions a ring)",
    ),
    "ring-not-closed": (
        "多边形的环没有闭合（首尾两点应相同）",
        "A ring is not closed (its first and last positions must be equal)",
    ),
    "self-intersection-repaired": (
        "多边形自相交，已自动修复，请核对",
        "The polygon crossed itself and was repaired; please check it",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark; `problem` is for programs.

    `line` is the CSV's, from 1; `feature` a pointer into the GeoJSON such as `/0/features/3`.
    """

    problem: str
    line: int | None = None
    code: str | None = None
    feature: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def zh(self) -> str:
        return _TEXTS[self.problem][0].format(**self.values)

    @property
    def en(self) -> str:
        return _TEXTS[self.problem][1].format(**self.values)

    def as_json(self) -> Json:
        return {
            "line": self.line,
            "code": self.code,
            "feature": self.feature,
            "problem": self.problem,
            "message": {"zh": self.zh, "en": self.en},
        }


def bad_values(invalid: ValidationError, **where: Any) -> Iterable[Finding]:  # noqa: ANN401 - as Finding
    """One finding a field that Pydantic refused."""
    found: list[Any] = list(invalid.errors(include_url=False, include_input=False))
    pairs = zip(explain(found, "zh-CN"), explain(found, "en"), strict=True)
    for zh, en in pairs:
        column = zh["pointer"].removeprefix("/")
        values = {"column": column, "zh": zh["message"], "en": en["message"]}
        yield Finding("bad-value", values=values, **where)
