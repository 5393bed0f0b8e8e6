"""What areas refuse."""

from app.core.errors import Problem


class AreaNotFound(
    Problem,
    status=404,
    code="area-not-found",
    zh="没有代码为 {area_code} 的区划（或当时尚不存在）",
    en="There is no area with the code {area_code}, or there was none at that time",
): ...


class AreaImportNotFound(
    Problem,
    status=404,
    code="area-import-not-found",
    zh="没有找到这次区划导入",
    en="There is no such import of areas",
): ...
