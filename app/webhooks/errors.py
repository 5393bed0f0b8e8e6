"""What webhooks refuse."""

from app.core.errors import Problem


class EndpointNotFound(
    Problem,
    status=404,
    code="endpoint-not-found",
    zh="没有找到该推送地址",
    en="There is no such endpoint",
): ...


class EndpointAddressRefused(
    Problem,
    status=422,
    code="endpoint-address-refused",
    zh="该地址不允许推送（{reason}）：须为公网 https，端口 443 或 8000–9999",
    en="This address is not called ({reason}): public https on port 443 or 8000 to 9999 only",
): ...


class EndpointAreaUnknown(
    Problem,
    status=422,
    code="endpoint-area-unknown",
    zh="区划代码 {area_code} 不存在或不在您的管辖范围内",
    en="There is no area {area_code} within your scope",
): ...


class EndpointNotActive(
    Problem,
    status=409,
    code="endpoint-not-active",
    zh="该推送地址当前状态（{state}）不能执行此操作",
    en="The endpoint's state ({state}) does not allow this",
): ...


class DeliveryNotFound(
    Problem,
    status=404,
    code="delivery-not-found",
    zh="没有找到该推送记录",
    en="There is no such delivery",
): ...


class CallbackUnauthenticated(
    Problem,
    status=401,
    code="callback-unauthenticated",
    zh="回调签名无效或已过期",
    en="The callback's signature is missing, wrong or too old",
): ...


class CallbackNotFound(
    Problem,
    status=404,
    code="callback-not-found",
    zh="没有收到过该回调",
    en="No callback with this id was received",
): ...


class IncidentUnknown(
    Problem,
    status=404,
    code="incident-unknown",
    zh="没有该事件，或该事件不在平台所属单位办理",
    en="There is no such incident, or the platform's unit has no part in it",
): ...
