"""Refusals of the category tree."""

from app.core.errors import Problem


class CategoryNotFound(
    Problem,
    status=404,
    code="category-not-found",
    zh="没有这个事件类别",
    en="There is no such category",
): ...


class CategoryUnknown(
    Problem,
    status=422,
    code="category-unknown",
    zh="事件类别 {category} 不存在或已停用，请重新选择",
    en="Category {category} does not exist or is switched off; choose another",
): ...


class CategoryParentMissing(
    Problem,
    status=422,
    code="category-parent-missing",
    zh="上级类别 {parent} 不存在，请先建立上级类别",
    en="The parent category {parent} does not exist; create it first",
): ...


class CategoryStaysSealed(
    Problem,
    status=409,
    code="category-stays-sealed",
    zh="保密类别及其下级不能改为公开",
    en="A sealed category, or one below it, can't be opened again",
): ...


class ExternalCodeTaken(
    Problem,
    status=409,
    code="external-code-taken",
    zh="外部编码 {system}:{external_code} 已对应另一个类别",
    en="External code {system}:{external_code} already stands for another category",
): ...
