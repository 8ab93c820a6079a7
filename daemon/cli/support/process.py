"""Settings of the daemon's process: open files, core dumps, garbage collection."""

import ctypes
import gc
import resource

PR_SET_DUMPABLE = 4  # linux/prctl.h


def raise_open_file_limit() -> None:
    """Allow as many open files as the hard limit does: every request under way needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def forbid_core_dumps() -> None:
    """Keep a crash from writing every customer's secret to a disk or a pipe."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The kernel ignores a limit of 0 for a pipe in core_pattern, but not a process's own flag.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def freeze_objects() -> None:
    """Keep garbage collections from traversing what exists by now: most of it will never go."""
    gc.freeze()
