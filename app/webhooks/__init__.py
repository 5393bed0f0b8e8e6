"""Webhooks: OTHER PLATFORMS.

Owns: the endpoints of other platforms, one delivery per event and endpoint with all its attempts.
Promises: every endpoint that subscribed at the time of an event gets it at least once, signed, with
the same id on every attempt, for three days; then it is dead, listed and replayable.
Never: a call inside a transaction; an address inside our own network; media or personal data in a
payload.
"""
