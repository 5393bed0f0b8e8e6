"""Windows in calendar days (pure data): from the moment itself, nights and holidays in."""

from datetime import timedelta

RATING_WINDOW = timedelta(days=7)
"""From closing: to rate, and to reopen once."""
ANSWER_WINDOW = timedelta(days=3)
"""From a return: to resubmit."""
UNMERGE_WINDOW = timedelta(days=7)
URGE_PAUSE = timedelta(days=1)
"""Between two urgings of one matter."""
LONGEST_SUSPENSION = timedelta(days=180)
MOST_EXTENSIONS = 2
BOUNCES = 2
"""Refusals after which the dispatching centre's next word is the last one."""
