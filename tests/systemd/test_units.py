"""The units agree with each other, and systemd accepts them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commandline import ROOT

UNITS = ROOT / "systemd"
ANALYZE = shutil.which("systemd-analyze")


def settings(name: str) -> list[str]:
    return [
        line
        for line in (UNITS / name).read_text().splitlines()
        if line and not line.startswith("#")
    ]


def test_the_template_differs_from_the_unit_in_its_instance_only() -> None:
    unit, template = settings("penguinmails-webhooks.service"), settings("webhookd@.service")

    added = [line for line in template if line not in unit]
    missing = [line for line in unit if line not in template]
    assert added == [
        "Description=PenguinMails Webhooks, %i",
        "Environment=WEBHOOKD_CONFIG=/etc/penguinmails-webhooks/%i.toml",
    ]
    assert missing == ["Description=PenguinMails Webhooks"]


def test_tmpfiles_makes_the_folder_that_the_unit_reads() -> None:
    [line] = settings("penguinmails-webhooks.tmpfiles.conf")

    assert line == "d /etc/penguinmails-webhooks 0750 root penguinmails-webhooks -"


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("kind", ["penguinmails-webhooks.socket", "webhookd@.service"])
def test_systemd_analyze_accepts_the_socket_and_the_template(tmp_path: Path, kind: str) -> None:
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.socket")):
        text = re.sub(r"(?m)^(Exec\w+=)\S+", r"\1/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    name = kind.replace("@.", "@eu.")
    if name != kind:
        (tmp_path / name).write_text((tmp_path / kind).read_text())

    verdict = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert not re.search(r"penguinmails|webhookd", verdict.stderr), verdict.stderr


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_sysusers_makes_the_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()

    done = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", "-"],
        input=(UNITS / "penguinmails-webhooks.sysusers.conf").read_text(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    users = (tmp_path / "etc/passwd").read_text()
    assert re.search(
        r"^penguinmails-webhooks:x:\d+:\d+:PenguinMails Webhooks:/:", users, re.MULTILINE
    )
