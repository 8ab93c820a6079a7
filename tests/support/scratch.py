"""Where tests keep temporary files: in memory where there is room, as most of them are tiny."""

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
NEEDED_BYTES = 2 * 1024**3


def keep_temporary_files_in_memory() -> None:
    """
    Make /dev/shm the folder of temporary files, for this process and all that it starts.

    A database is some 300 files, and each costs a disk's file system about a millisecond of CPU
    time. A TMPDIR that is set already stays; so does the disk where memory is short or may hold no
    programs, since tests make virtual environments and copies of PostgreSQL.
    """
    if "TMPDIR" in os.environ or not _is_fit(MEMORY):
        return
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # which is where Python keeps its first answer


def _is_fit(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    is_executable = not os.statvfs(folder).f_flag & os.ST_NOEXEC
    return is_executable and min(shutil.disk_usage(folder).free, _free_memory()) > NEEDED_BYTES


def _free_memory() -> int:
    """What can be had without swapping, as the kernel estimates it, in bytes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0
