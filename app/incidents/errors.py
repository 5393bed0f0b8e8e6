from app.core.errors import Problem


class IncidentNotFound(
    Problem, status=404, code="incident-not-found", zh="没有找到这个事件", en="No such incident"
): ...


class IncidentDeleted(
    Problem,
    status=410,
    code="incident-deleted",
    zh="这个事件已被删除，同一编号不再受理",
    en="This incident has been deleted; its id is not taken again",
): ...


class IdempotencyKeyReused(
    Problem,
    status=422,
    code="idempotency-key-reused",
    zh="这个编号已用于另一份上报，先收到的一份已保留",
    en="This id was used for another report; the first one is kept",
): ...


class IdempotencyKeyMismatch(
    Problem,
    status=400,
    code="idempotency-key-mismatch",
    zh="Idempotency-Key 与 meta.id 不一致",
    en="Idempotency-Key differs from meta.id",
): ...


class IncidentIdInvalid(
    Problem,
    status=400,
    code="incident-id-invalid",
    zh="事件编号（id）必须是第 4 或第 7 版 UUID，由终端生成",
    en="The incident's id must be a UUID of version 4 or 7, made by the terminal",
): ...


class AttachmentNotListed(
    Problem,
    status=422,
    code="attachment-not-listed",
    zh="收到清单（attachments）里没有的文件：{attachment}",
    en="A file came that the manifest (attachments) does not list: {attachment}",
): ...


class AttachmentRepeated(
    Problem,
    status=422,
    code="attachment-repeated",
    zh="同一个附件编号出现了两次：{attachment}",
    en="The same attachment id came twice: {attachment}",
): ...


class AttachmentNotFound(
    Problem,
    status=404,
    code="attachment-not-found",
    zh="没有找到这个附件",
    en="No such attachment",
): ...


class AttachmentImmutable(
    Problem,
    status=409,
    code="attachment-immutable",
    zh="这个附件已保存，不能换成别的内容",
    en="This attachment is stored already and can't be replaced",
): ...


class IncidentFull(
    Problem,
    status=413,
    code="incident-full",
    zh="一个事件最多 {files} 个附件、共 {bytes} 字节",
    en="A matter has at most {files} attachments and {bytes} bytes of them",
): ...


class PlaceUnknown(
    Problem,
    status=422,
    code="place-unknown",
    zh="无法确定所属区域：请提供位置或网格编号",
    en="The area can't be told: give a position or a grid code",
): ...


class ReporterUnknown(
    Problem,
    status=422,
    code="reporter-unknown",
    zh="代录对象不存在或不在您的范围内",
    en="The colleague you report for does not exist or is outside your scope",
): ...


class ActionNotAllowed(
    Problem,
    status=409,
    code="action-not-allowed",
    zh="事件现在的状态不允许此操作",
    en="The incident's state does not allow this action",
): ...


class ActionForbidden(
    Problem,
    status=403,
    code="action-forbidden",
    zh="此操作不由您办理",
    en="This action is not yours to take",
): ...


class FieldRequired(
    Problem,
    status=422,
    code="field-required",
    zh="此操作必须填写：{field}",
    en="This action needs: {field}",
): ...


class UnitNotEligible(
    Problem,
    status=422,
    code="unit-not-eligible",
    zh="不能交给这个单位：{unit}",
    en="This unit can't take it: {unit}",
): ...


class NoSuperior(
    Problem,
    status=409,
    code="no-superior",
    zh="已是最高一级，无处上报",
    en="There is no higher level to send this to",
): ...


class EvidenceRequired(
    Problem,
    status=422,
    code="evidence-required",
    zh="自办须附处理后的照片或其他附件",
    en="Self-handling needs after-evidence: at least one attachment",
): ...


class UrgedAlready(
    Problem,
    status=409,
    code="urged-already",
    zh="24 小时内已催办过，请稍后再催",
    en="It was urged less than a day ago",
): ...


class IncidentNotEligible(
    Problem,
    status=422,
    code="incident-not-eligible",
    zh="不能与这个事件合并或关联：{into}",
    en="It can't be merged into or related to this incident: {into}",
): ...


class ExtensionTooLong(
    Problem,
    status=422,
    code="extension-too-long",
    zh="延期天数超出允许范围",
    en="So many days can't be asked for or granted",
): ...


class ReviewDateInvalid(
    Problem,
    status=422,
    code="review-date-invalid",
    zh="日期须在今天之后，挂账最长 180 天",
    en="The date must lie ahead; a suspension lasts 180 days at most",
): ...


class LevelInvalid(
    Problem,
    status=422,
    code="level-invalid",
    zh="此操作的 level 无效，可用：{levels}",
    en="Not a level of this action; known ones: {levels}",
): ...


class LevelNotHigher(
    Problem,
    status=409,
    code="level-not-higher",
    zh="只能升级，目前已是：{level}",
    en="It can only be raised; it stands at: {level}",
): ...


class NotSealed(
    Problem,
    status=409,
    code="not-sealed",
    zh="该事件不是密件，无须说明理由",
    en="This matter is not sealed: it is read without a reason",
): ...


class PersonNotEligible(
    Problem,
    status=422,
    code="person-not-eligible",
    zh="名单中有人不是承办单位的处置人员",
    en="Somebody on the list is no handler of a unit that has it",
): ...


class LinkNotFound(
    Problem,
    status=404,
    code="link-not-found",
    zh="没有这条串并线索",
    en="There is no such link between matters",
): ...


class ExportTooLong(
    Problem,
    status=422,
    code="export-too-long",
    zh="超过 {limit} 条，请改用后台导出（POST /v1/incidents/exports）",
    en="More than {limit} lines: ask for it by POST /v1/incidents/exports",
): ...


class ExportNotFound(
    Problem, status=404, code="export-not-found", zh="没有找到这份导出", en="No such export"
): ...


class ExportLinkExpired(
    Problem,
    status=403,
    code="export-link-expired",
    zh="下载链接已过期，请重新获取",
    en="The link has expired; ask for the export again",
): ...
