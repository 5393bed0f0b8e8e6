"""Notifications: WHO HEARS.

Owns: one inbox a person with a gap-free sequence, the texts people read, the live stream.
Promises: every status event reaches its reporter once, in order, numbered without gaps; stream and
wakeups are only hints, the inbox is the truth.
Never: content in a push payload; a transaction held while a client waits.
"""
