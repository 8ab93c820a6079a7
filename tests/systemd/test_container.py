"""The Debian package under a real systemd, beside PostgreSQL, as an operator uses it."""

import re
import shutil
from pathlib import Path

import pytest

from tests.packaging import deb
from tests.systemd.container import boot, reason_to_skip

WALK = Path(__file__).parent / "walk.sh"


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_an_operator_installs_runs_reloads_upgrades_and_removes_the_package(
    tmp_path: Path,
) -> None:
    if (reason := reason_to_skip()) is not None:
        pytest.skip(reason)
    deb.main([str(tmp_path)])
    shutil.copy(WALK, tmp_path)

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
        "sandbox": "1.2",
        "upgrade": "0 active",
        "upgrade_with_migrations": "0 0",  # installed, and the same process goes on
        "remove": "0 inactive 0",
        "end": "0",
    }, errors
    assert re.fullmatch(
        r"Delivering: [\d.]+ attempts a second, \d+ pending, the oldest due for \d+ s", status
    )
