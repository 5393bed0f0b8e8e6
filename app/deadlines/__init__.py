"""Deadlines: BY WHEN.

Owns: the calendar of working days, office hours, the limits, and the one computation of due times.
Promises: the same question has one answer, computed on the server; there is always a limit, an
office day and a calendar, even where none was set; an unpublished year is said aloud.
Never: an incident, a card drawn, a clock of its own.
"""
