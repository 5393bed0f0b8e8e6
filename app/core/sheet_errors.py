"""Refusals of imports."""

from app.core.errors import Problem


class SheetUnreadable(
    Problem,
    status=422,
    code="import-unreadable",
    zh="无法读取表格：应为 CSV 或 XLSX，首行为列名（{header}），其后至少一行",
    en="The table can't be read: CSV or XLSX, its first row names the columns ({header})",
): ...


class SheetTooLong(
    Problem,
    status=422,
    code="import-too-long",
    zh="一次最多导入 {limit} 行",
    en="At most {limit} rows at once",
): ...


class ImportRefused(
    Problem,
    status=422,
    code="import-refused",
    zh="有 {refused} 行不能导入，全部未写入；原因见各行",
    en="{refused} rows can't be imported, so nothing was written; each tells why",
): ...


class RowRepeated(
    Problem,
    status=422,
    code="row-repeated",
    zh="同一条目在文件中出现多次",
    en="The same entry stands in the file more than once",
): ...


class CellsBeyondColumns(
    Problem,
    status=422,
    code="cells-beyond-columns",
    zh="该行的单元格多于首行的列名",
    en="The row has more cells than the first row names columns",
): ...
