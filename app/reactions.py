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
from app.notifications.reactions import tell_reporter, tell_unit
from app.routing.reactions import route_to_unit

REACTIONS: Reactions = {
    IncidentReported: (route_to_unit, tell_reporter),
    StepOpened: (tell_unit, tell_reporter),
    StateChanged: (tell_unit, tell_reporter),
    IncidentCommented: (tell_unit, tell_reporter),
    IncidentRated: (tell_unit,),
    AttachmentStored: (tell_reporter,),
}
