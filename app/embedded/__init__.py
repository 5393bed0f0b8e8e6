"""Embedded: the one-machine default, everything `etong run` needs beside our own code.

Owns: the PostgreSQL and the object store under the home folder, their launchers, the owner
process, the seeding of the reference district.
Promises: starts find all data again after any kill; stops leave no process; one owner per home.
Never: changes the mode of a folder it did not make, moves a running child to another port, or
serves anything but loopback.
"""
