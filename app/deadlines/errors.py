"""Refusals of calendars and limits."""

from app.core.errors import Problem


class CalendarImportRefused(
    Problem,
    status=422,
    code="calendar-import-refused",
    zh="日历未导入：{refused} 行有误，请按 rows 逐行改正后重新提交",
    en="Nothing was imported: {refused} rows have mistakes; rows lists each",
): ...


class CalendarUnreadable(
    Problem,
    status=422,
    code="calendar-unreadable",
    zh="日历文件无法读取：应为 UTF-8 或 GB18030 的 CSV，首行为 day,kind,name",
    en="Not a readable calendar: a CSV in UTF-8 or GB18030, first line day,kind,name, is wanted",
): ...


class OfficeHoursNotFound(
    Problem,
    status=404,
    code="office-hours-not-found",
    zh="该单位没有单独的办公时间，适用默认办公时间",
    en="This unit has no office hours of its own; the default ones apply",
): ...


class CalendarTooLong(
    Problem,
    status=422,
    code="calendar-too-long",
    zh="一次最多导入 {limit} 行，请分几次提交",
    en="At most {limit} rows can be imported at once; send them in several files",
): ...
