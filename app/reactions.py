"""THE choreography: which event is followed by what, on one page."""

from app.core.relay import Reactions
from app.incidents.events import (
    AttachmentLost,
    AttachmentStored,
    GlassBroken,
    IncidentCommented,
    IncidentMerged,
    IncidentOverdue,
    IncidentRated,
    IncidentReported,
    IncidentSupervised,
    StateChanged,
    StepOpened,
)
from app.incidents.reactions import ask_for_file_again, index_words, look_into_files
from app.media.events import FileDamaged
from app.notifications.events import OutcomeUnseen
from app.notifications.following import tell_followers
from app.notifications.reactions import tell_centres, tell_reporter, tell_unit
from app.routing.reactions import route_to_unit
from app.webhooks.events import CallbackRefused, EndpointDisabled
from app.webhooks.operators import tell_operators
from app.webhooks.reactions import queue_deliveries

REACTIONS: Reactions = {
    IncidentReported: (
        route_to_unit,
        index_words,
        tell_reporter,
        queue_deliveries,
        look_into_files,
    ),
    StepOpened: (tell_unit, tell_reporter, queue_deliveries),
    StateChanged: (tell_unit, tell_reporter, tell_followers, queue_deliveries),
    IncidentOverdue: (tell_unit, queue_deliveries),
    IncidentSupervised: (tell_unit, queue_deliveries),
    IncidentMerged: (tell_unit, queue_deliveries),
    IncidentCommented: (tell_unit, tell_reporter, queue_deliveries),
    IncidentRated: (tell_unit, queue_deliveries),
    AttachmentStored: (tell_reporter, queue_deliveries, look_into_files),
    AttachmentLost: (tell_reporter,),
    GlassBroken: (tell_unit,),
    FileDamaged: (ask_for_file_again,),
    OutcomeUnseen: (tell_centres,),
    CallbackRefused: (queue_deliveries,),
    EndpointDisabled: (queue_deliveries, tell_operators),
}
