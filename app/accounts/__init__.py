"""Accounts: WHO.

Owns: people, units, roles, terminals, sessions and tokens, platforms, scope.
Promises: outside the scope an object does not exist; a revoked session or terminal is refused at
the next request; every change leaves a line in the audit trail.
Never: files on people beyond what an account needs.
"""
