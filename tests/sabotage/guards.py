"""All guards, and the ten that are tried with every change."""

from tests.sabotage.guard import Guard
from tests.sabotage.guards_of_evidence import EVIDENCE
from tests.sabotage.guards_of_files import FILES
from tests.sabotage.guards_of_identity import IDENTITY
from tests.sabotage.guards_of_intake import INTAKE
from tests.sabotage.guards_of_matters import MATTERS
from tests.sabotage.guards_of_pictures import PICTURES
from tests.sabotage.guards_of_platforms import PLATFORMS
from tests.sabotage.guards_of_routing import ROUTING
from tests.sabotage.guards_of_the_spine import SPINE
from tests.sabotage.guards_of_tips import TIPS
from tests.sabotage.guards_of_uploads import UPLOADS

GUARDS: tuple[Guard, ...] = (
    *INTAKE,
    *FILES,
    *UPLOADS,
    *PICTURES,
    *MATTERS,
    *ROUTING,
    *TIPS,
    *SPINE,
    *IDENTITY,
    *PLATFORMS,
    *EVIDENCE,
)
TEN = (
    "i3-one-id-one-report",
    "i3-event-in-the-same-transaction",
    "i4-other-content-is-refused",
    "r3-sha256-of-the-manifest",
    "m10-size-by-the-stores-word",
    "m4-truncated-body",
    "m1-who-asks-before-the-body",
    "one-relay-leads",
    "p1-counter-under-its-lock",
    "sealed-matters-do-not-exist-outside",
)
"""What a receipt promises: nothing lost, doubled, half accepted, or told to whom it is not for."""
