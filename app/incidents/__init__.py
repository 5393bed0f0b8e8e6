"""Incidents: WHAT HAPPENED.

Owns: incidents, their steps, their history, the table of transitions, who may see and move what.
Promises: one intake statement, idempotent for ever; exactly one owner at any time; none closes
without an outcome; the history is appended, chained and never edited.
Never: routing decisions (routing calls `steps.open_first`), messages to people, HTTP to platforms.
"""
