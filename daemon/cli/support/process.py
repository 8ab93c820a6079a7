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


def relax_garbage_collection() -> None:
    """
    Collect cyclic garbage less often.

    Deliveries make a thousand objects a millisecond and hardly any cycles; with the defaults the
    collector takes a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
