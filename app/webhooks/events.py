from uuid import UUID

from app.core.events import Event

DELIVERIES = "deliveries"
"""The subject of the wakeup for whoever sends them."""
CALLBACKS = "callbacks"
"""The same for whoever applies them."""


class EndpointDisabled(Event, name="endpoint.disabled"):
    """An endpoint is called no more until somebody resumes it; its deliveries wait."""

    endpoint_id: UUID
    area_code: str
    why: str
    """gone or failing."""

    @property
    def subject_id(self) -> UUID:
        return self.endpoint_id


class CallbackRefused(Event, name="callback.refused"):
    """A platform's callback was not applied and will not be."""

    platform_id: UUID
    platform: str
    """Its code."""
    webhook_id: str
    code: str
    incident_id: UUID | None
    area_code: str
    """Of the platform's unit."""

    @property
    def subject_id(self) -> UUID:
        return self.platform_id
