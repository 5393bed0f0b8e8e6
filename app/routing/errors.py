from app.core.errors import Problem


class NotRoutedYet(
    Problem,
    status=404,
    code="not-routed-yet",
    zh="这个事件还没有分派记录",
    en="There is no routing decision for this incident yet",
): ...
