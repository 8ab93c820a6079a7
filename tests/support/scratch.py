"""Temporary files of tests are kept in memory if there is enough of it."""

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
NEEDED_BYTES = 2 * 1024**3


def keep_temporary_files_in_memory() -> None:
    """
    Make /dev/shm the folder of temporary files, for this process and its children.

    A database consists of some 300 files, and creating each costs about a millisecond of CPU time
    on a disk. Nothing changes if TMPDIR is set, if memory is short, or if /dev/shm is mounted
    noexec: tests create virtual environments and copies of PostgreSQL.
    """
    if "TMPDIR" in os.environ or not _is_suitable(MEMORY):
        return
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # Python caches the folder here


def _is_suitable(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    is_executable = not os.statvfs(folder).f_flag & os.ST_NOEXEC
    return is_executable and min(shutil.disk_usage(folder).free, _free_memory()) > NEEDED_BYTES


def _free_memory() -> int:
    """Return the kernel's estimate of memory that is available without swapping, in bytes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0
