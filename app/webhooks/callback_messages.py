"""What a platform may send back: one shape for every callback (pure)."""

from typing import Literal, Self
from uuid import UUID

from pydantic import ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.core.errors import MalformedJson, ValidationFailed
from app.core.fields import Command, Count, Instant, Line, Prose
from app.core.validation import explain
from app.incidents.commands import TransitionCommand
from app.incidents.status import Action


class CallbackData(Command):
    """The incident by its id or its number, and what is to be done with it.

    `sequence` counts the platform's callbacks of one incident: 1, 2, 3 and so on. `actor` is the
    person the platform says has acted; the history shows that name behind the platform's.
    """

    incident_id: UUID | None = None
    number: Line | None = None
    action: Action | None = None
    """Of `incident.transition`."""
    reason: Prose | None = None
    text: Prose | None = None
    outcome: Prose | None = None
    sequence: Count | None = None
    occurred_at: Instant | None = None
    actor: Line | None = None


class CallbackMessage(Command):
    type: Literal["incident.transition", "incident.comment"]
    timestamp: Instant | None = None
    data: CallbackData

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.data.incident_id is None and self.data.number is None:
            raise PydanticCustomError(
                "no_incident", "Name incident_id or number", {"zh": "须有 incident_id 或 number"}
            )
        if (self.data.action is None) != (self.type == "incident.comment"):
            raise PydanticCustomError(
                "action_misplaced",
                "incident.transition has an action, incident.comment has none",
                {"zh": "incident.transition 须有 action，incident.comment 不得有"},
            )
        return self

    @property
    def reference(self) -> str:
        return str(self.data.incident_id or self.data.number)

    def command(self, revision: int) -> TransitionCommand:
        """The transition, made on the revision the incident has now."""
        data = self.data
        return TransitionCommand(
            action=data.action or Action.COMMENT,
            revision=revision,
            reason=data.reason,
            text=data.text,
            outcome=data.outcome,
        )


def parsed(body: bytes) -> CallbackMessage:
    """Raises MalformedJson, ValidationFailed."""
    try:
        return CallbackMessage.model_validate_json(body)
    except ValidationError as invalid:
        found = invalid.errors(include_url=False)
        if any(error["type"] == "json_invalid" for error in found):
            raise MalformedJson from invalid
        located = [{**error, "loc": ("body", *error["loc"])} for error in found]
        raise ValidationFailed(errors=explain(located, "zh-CN")) from invalid


def explained(refusal: ValidationFailed) -> str:
    """What was wrong, in one line for whoever looks the callback up."""
    named = (f"{each['pointer']}: {each['message']}" for each in refusal.members["errors"])
    return "; ".join(named)
