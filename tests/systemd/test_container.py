"""
The Debian package under a real systemd, beside PostgreSQL, as an operator uses it.

The rule: systemd runs in systemd-nspawn only, on the image's own root file system, of which it sees
a copy in memory, and in a network namespace of its own; it can reach nothing of this machine.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging import deb
from tests.systemd.image import FOLDER

IMAGE = Path(os.environ.get("WEBHOOKD_TEST_SYSTEMD_IMAGE", FOLDER))
WALK = Path(__file__).parent / "walk.sh"
SERVICE = """
[Unit]
After=postgresql.service
[Service]
Type=oneshot
ExecStart=/bin/bash /share/walk.sh
"""
WANTS = "[Unit]\nWants=walk.service\n"


def reason_to_skip() -> str | None:
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
    """Boot the container, which runs the walk and powers off."""
    (share / "walk.service").write_text(SERVICE)
    (share / "walk.conf").write_text(WANTS)
    shutil.copy(WALK, share)
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


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_an_operator_installs_runs_reloads_upgrades_and_removes_the_package(
    tmp_path: Path,
) -> None:
    if (reason := reason_to_skip()) is not None:
        pytest.skip(reason)
    deb.main([str(tmp_path)])

    boot(tmp_path)

    steps = dict(line.split(": ", 1) for line in (tmp_path / "steps").read_text().splitlines())
    errors = (tmp_path / "errors").read_text()
    status = steps.pop("status")
    assert steps == {
        "install": "0",
        "user": "penguinmails-webhooks, root:penguinmails-webhooks 750",
        "unconfigured": "0 2 exit-code",
        "migrate": "0",
        "start": "0",
        "ready": "0",
        "trigger": "0",
        "delivered": "0",
        "reload_with_a_mistake": "1",
        "still": "active",
        "reload": "0",
        "delivered_after_reload": "0",
        "connection_during_restart": "0",
        "priorities": '"PRIORITY":"3" "PRIORITY":"6"',
        "sandbox": "1.1",
        "upgrade": "0 active",
        "remove": "0 inactive 0",
        "end": "0",
    }, errors
    assert re.fullmatch(
        r"Delivering: [\d.]+ attempts a second, \d+ pending, the oldest due for \d+ s", status
    )
