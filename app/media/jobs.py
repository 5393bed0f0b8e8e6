from app.core.jobs import Job
from app.media.derivatives import EXAMINE, examine
from app.media.moving import SEAL, seal

JOBS = (Job(EXAMINE, examine), Job(SEAL, seal))
