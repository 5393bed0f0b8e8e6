"""What is refused about people, roles, units, terminals and platforms."""

from app.core.errors import Problem


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


class UnitFixed(
    Problem,
    status=409,
    code="unit-fixed",
    zh="单位的级别、类型和区划不能更改；请停用旧单位并新建",
    en="A unit's level, kind and area stay: switch it off and found another one",
): ...


class ImportUnreadable(
    Problem,
    status=422,
    code="people-import-unreadable",
    zh="无法读取导入的表格：表头应为 {header}",
    en="The table can't be read: its header must be {header}",
): ...


class ImportTooLong(
    Problem,
    status=422,
    code="people-import-too-long",
    zh="一次最多导入 {limit} 行",
    en="At most {limit} rows at once",
): ...


class GridBeyondUnits(
    Problem,
    status=422,
    code="grid-beyond-units",
    zh="网格不在该人员任职单位的区划内",
    en="A grid lies outside the areas of the person's units",
): ...
