"""
Becomes PostgreSQL: gives up root, ties its life to its parent's, then replaces itself.

Run as a script with `python -I -S`, so that no code of ours runs between fork and exec in a
program that has threads. Arguments: the parent's process id, then the user and group to become
(0 and 0: stay), then the program, by its whole path, and its arguments.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(parent: int, uid: int, gid: int, command: list[str]) -> None:
    """Replace this process by `command`; PostgreSQL stops at once (SIGQUIT) when `parent` dies."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir("/")  # ours may be one that the other user cannot read
    os.umask(0o077)
    if uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # Only now: the kernel forgets the death signal when the user changes.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the parent died before PostgreSQL began")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec would pass that on
    os.execv(command[0], command)  # noqa: S606 - a shell would be one more process to die


if __name__ == "__main__":
    try:
        become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except OSError as error:
        sys.exit(f"cannot become PostgreSQL: {error}")
