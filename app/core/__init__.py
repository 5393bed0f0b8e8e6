"""Core: what every feature stands on.

Owns: settings, sessions, the outbox and its relay, wakeups, errors and their rendering, the object
store door.
Promises: nothing here commits for a caller; nothing here calls the network inside a transaction.
Never: a word of the domain.
"""
