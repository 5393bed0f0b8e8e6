from app.core.errors import Problem


class NotRoutedYet(
    Problem,
    status=404,
    code="not-routed-yet",
    zh="这个事件还没有分派记录",
    en="There is no routing decision for this incident yet",
): ...


class RuleSetNotFound(
    Problem,
    status=404,
    code="rule-set-not-found",
    zh="没有这一版分派规则",
    en="There is no such version of the routing rules",
): ...


class RuleSetNotDraft(
    Problem,
    status=409,
    code="rule-set-not-draft",
    zh="第 {version} 版分派规则已启用或已定启用时间，请以新版本提交",
    en="Version {version} is or was in force, or has its moment; write another version",
): ...


class DryRunNotFound(
    Problem, status=404, code="dry-run-not-found", zh="没有这次试运行", en="No such dry run"
): ...


class DutyDeskMissing(
    Problem,
    status=422,
    code="duty-desk-missing",
    zh="该地点及其上级都没有综治中心",
    en="There is no centre at this place or above it",
): ...
