"""`python -I -S tied.py OWNER SIGNAL UID GID PROGRAM [ARGUMENT …]`: a child that ends in time.

Becomes PROGRAM, as UID and GID where these are not negative, and has the kernel send it SIGNAL
when the thread that started it ends. A program of its own, on the standard library alone: in a
process with threads no Python may run between fork and exec.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    owner, death_signal, uid, gid = map(int, sys.argv[1:5])
    command = sys.argv[5:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # Only now: a change of user takes the signal back. Elsewhere than on Linux the next start
    # ends what a killed owner left.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a blocked one would never stop it
    if os.getppid() != owner:  # it died before it could be watched
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the whole purpose; the caller chose the program


if __name__ == "__main__":
    main()
