"""
Make the image in which the tests run a real systemd: `python3 dev.py systemd-image [FOLDER]`.

A Debian 12 with systemd, PostgreSQL and Python, in a folder of its own; it needs root, debootstrap
and Debian's packages, takes some minutes and 700 MB, and shares nothing with this machine's system.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "systemd-image"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "python3", "python3-venv"),
    *("postgresql", "curl", "ca-certificates", "adduser"),
)


def main(arguments: list[str]) -> None:
    """Make it, unless it is there; exits with a message where that is impossible."""
    folder = Path(arguments[0]) if arguments else FOLDER
    if os.geteuid() != 0:
        sys.exit("debootstrap needs root.")
    if shutil.which("debootstrap") is None:
        sys.exit("debootstrap is not installed: apt-get install debootstrap systemd-container.")
    if (folder / "etc" / "debian_version").exists():
        sys.exit(f"{folder} is there already: remove it first.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Complete or not there: an interrupted one has another name.
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    done = subprocess.run([*command, "bookworm", str(unfinished)], check=False)
    if done.returncode:
        sys.exit("debootstrap failed: see its messages above.")
    unfinished.rename(folder)
    print(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
