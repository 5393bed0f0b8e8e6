"""Simulation: phones that behave like phones in a valley, and the valley between them and us.

Owns: simulated phones (HTTP clients), the ledgers they write, the proxy that cuts and doubles.
Promises: a ledger holds what its phone was told, line by line, and nothing else; everything runs
within a bound of count and time.
Never: talks to anything but loopback, reads the database, trusts what the server remembers.
"""
