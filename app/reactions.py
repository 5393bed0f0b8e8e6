"""THE choreography: which event is followed by what, on one page."""

from app.core.relay import Reactions
from app.incidents.events import (
    AttachmentStored,
    IncidentCommented,
    IncidentRated,
    IncidentReported,
    StateChanged,
    StepOpened,
)
from app.notifications.events import OutcomeUnseen
from app.notifications.reactions import tell_centres, tell_reporter, tell_unit
from app.routing.reactions import route_to_unit
from app.webhooks.events import CallbackRefused, EndpointDisabled
from app.webhooks.reactions import queue_deliveries

REACTIONS: Reactions = {
    IncidentReported: (route_to_unit, tell_reporter, queue_deliveries),
    StepOpened: (tell_unit, tell_reporter, queue_deliveries),
    StateChanged: (tell_unit, tell_reporter, queue_deliveries),
    IncidentCommented: (tell_unit, tell_reporter, queue_deliveries),
    IncidentRated: (tell_unit, queue_deliveries),
    AttachmentStored: (tell_reporter, queue_deliveries),
    OutcomeUnseen: (tell_centres,),
    CallbackRefused: (queue_deliveries,),
    EndpointDisabled: (queue_deliveries,),
}
