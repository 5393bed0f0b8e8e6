from app.core.jobs import Job
from app.media.derivatives import EXAMINE, examine

JOBS = (Job(EXAMINE, examine),)
