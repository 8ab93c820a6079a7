"""
A script that becomes PostgreSQL: drops root, ends with its parent, then executes the program.

It runs with `python -I -S`, so that no code of ours runs between fork and exec in a program that
has threads. Arguments: the parent's process id, the user and group to change to (0 and 0: no
change), the absolute path of the program, and its arguments.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def exec_program(parent: int, uid: int, gid: int, command: list[str]) -> None:
    """Replace this process by `command`; PostgreSQL gets SIGQUIT and stops when `parent` dies."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir("/")  # the other user may not be able to read ours
    os.umask(0o077)
    if uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # Only now: the kernel clears the death signal when the user changes.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the parent died before PostgreSQL started")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it; exec keeps that
    os.execv(command[0], command)  # noqa: S606 - a shell would be one more process


if __name__ == "__main__":
    try:
        exec_program(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except OSError as error:
        sys.exit(f"cannot execute PostgreSQL: {error}")
