"""
Make the image in which the tests run a real systemd: `python3 dev.py systemd-image [FOLDER]`.

A Debian 12 with systemd, PostgreSQL and Python, in a folder of its own; it needs root, mmdebstrap
and Debian's packages, takes some minutes and 700 MB, and shares nothing with this machine's system.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
# Outside of the checkout: a fresh one finds it, too.
FOLDER = CACHE / "penguinmails-webhooks" / "systemd-image"
IN_MEMORY = Path("/dev/shm")
NEEDED_BYTES = 2 * 1024**3
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "python3", "python3-venv"),
    *("postgresql", "curl", "ca-certificates", "adduser", "openssl"),
)


def main(arguments: list[str]) -> None:
    """Make it, unless it is there; exits with a message where that is impossible."""
    folder = Path(arguments[0]) if arguments else FOLDER
    if os.geteuid() != 0:
        sys.exit("mmdebstrap needs root here.")
    if shutil.which("mmdebstrap") is None:
        sys.exit("mmdebstrap is not installed: apt-get install mmdebstrap systemd-container.")
    if (folder / "etc" / "debian_version").exists():
        sys.exit(f"{folder} is there already: remove it first.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock_of(folder).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make(folder)
    print(folder)


def make(folder: Path) -> None:
    """Make it; complete or not there, for an interrupted one has another name."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    # dpkg waits for the disk after each file: in memory it takes half the time.
    with tempfile.TemporaryDirectory(dir=_memory()) as memory:
        made = Path(memory) / "image"
        done = subprocess.run([*command, "bookworm", str(made)], check=False)
        if done.returncode:
            sys.exit("mmdebstrap failed: see its messages above.")
        subprocess.run(["cp", "--archive", str(made), str(unfinished)], check=True)
    unfinished.rename(folder)


def _memory() -> Path | None:
    """A folder in memory with room for an image; None, for the usual one, if there is none."""
    if IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > NEEDED_BYTES:
        return IN_MEMORY
    return None


def lock_of(folder: Path) -> Path:
    """The file that is locked while the image is made."""
    return folder.with_name(f"{folder.name}.lock")


def wait_until_made(folder: Path) -> None:
    """Wait while another process makes the image; return at once if none does."""
    if lock_of(folder).exists():
        with lock_of(folder).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)


if __name__ == "__main__":
    main(sys.argv[1:])
