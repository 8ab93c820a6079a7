"""
A container that boots systemd, runs a script of a test, and powers off.

The rule: systemd runs in systemd-nspawn only, on the image's own root file system, of which it sees
a copy in memory, and in a network namespace of its own; it can reach nothing of this machine.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.systemd.image import FOLDER, wait_until_made

IMAGE = Path(os.environ.get("WEBHOOKD_TEST_SYSTEMD_IMAGE", FOLDER))
SERVICE = """
[Unit]
After=postgresql.service
[Service]
Type=oneshot
Environment=HOME=/root
WorkingDirectory=/root
ExecStart=/bin/bash /share/walk.sh
ExecStopPost=/bin/systemctl poweroff --no-block
"""
WANTS = "[Unit]\nWants=walk.service\n"


def reason_to_skip() -> str | None:
    """Why no container can be booted here; None if one can."""
    wait_until_made(IMAGE)
    if not (IMAGE / "etc" / "debian_version").exists():
        return "there is no image: `python3 dev.py systemd-image` makes it"
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None:
        return "systemd-nspawn is not installed, or this is not root"
    tried = subprocess.run([*nspawn(), "/bin/true"], capture_output=True, text=True, check=False)
    return f"systemd-nspawn does not run here: {tried.stderr}" if tried.returncode else None


def nspawn(*options: str) -> list[str]:
    """The command of a container that has its own root, network and processes."""
    return [
        *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"),
        *("--volatile=overlay", f"--directory={IMAGE}", "--console=pipe", *options),
    ]


def boot(share: Path) -> None:
    """Boot the container, which sees the folder as /share, runs its walk.sh and powers off."""
    (share / "walk.service").write_text(SERVICE)
    (share / "walk.conf").write_text(WANTS)
    units = "/etc/systemd/system"
    binds = (
        f"--bind={share}:/share",
        f"--bind-ro={share}/walk.service:{units}/walk.service",
        f"--bind-ro={share}/walk.conf:{units}/multi-user.target.d/walk.conf",
    )
    subprocess.run(
        nspawn("--boot", *binds),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=600,
        check=False,
    )
