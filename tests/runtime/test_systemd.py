"""Notifications to systemd, and the unit file."""

import configparser
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.config import Config
from daemon.runtime import systemd
from daemon.runtime.package_data import package_file

UNIT = "penguinmails-webhooks.service"
ANALYZE = shutil.which("systemd-analyze")
SPANS = {"min": 60, "s": 1, "": 1}


@pytest.fixture
def manager() -> Iterator[Callable[[str], socket.socket]]:
    """Open systemd's end: a datagram socket bound to a given address."""
    listening: list[socket.socket] = []

    def listen(address: str) -> socket.socket:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        listening.append(end)
        end.bind(address)
        return end

    yield listen
    for end in listening:
        end.close()


def test_states_are_sent_in_one_message(
    tmp_path: Path, manager: Callable[[str], socket.socket]
) -> None:
    address = str(tmp_path / "notify")
    end = manager(address)

    sent = systemd.notify("READY=1", "STATUS=ready\nSTOPPING=1", environ={"NOTIFY_SOCKET": address})

    assert sent
    assert end.recv(4096) == b"READY=1\nSTATUS=ready STOPPING=1"


def test_an_abstract_socket_is_reached(manager: Callable[[str], socket.socket]) -> None:
    name = f"webhookd-test-{os.getpid()}"
    end = manager("\0" + name)

    systemd.notify("WATCHDOG=1", environ={"NOTIFY_SOCKET": "@" + name})

    assert end.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "address", ["", "vsock:2:1", "relative", "/nowhere/at/all", "/" + "x" * 200]
)
def test_nothing_is_sent_without_a_reachable_socket(address: str) -> None:
    assert not systemd.notify("READY=1", environ={"NOTIFY_SOCKET": address})
    assert not systemd.notify("READY=1", environ={})


def test_a_full_socket_does_not_block(
    tmp_path: Path, manager: Callable[[str], socket.socket]
) -> None:
    address = str(tmp_path / "notify")
    manager(address)
    environ = {"NOTIFY_SOCKET": address}

    sent = [systemd.notify("WATCHDOG=1", environ=environ) for _ in range(2000)]

    assert sent[0]
    assert not sent[-1]


def test_the_process_s_environment_is_the_default(
    tmp_path: Path, manager: Callable[[str], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    end = manager(address)
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    systemd.notify("READY=1")

    assert end.recv(4096) == b"READY=1"


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, timedelta(seconds=30)),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, timedelta(seconds=0.5)),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "\u0663"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_read_if_it_is_meant_for_this_process(
    environ: dict[str, str], interval: timedelta | None
) -> None:
    assert systemd.watchdog_interval(environ=environ) == interval


@pytest.fixture
def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(package_file("systemd") / UNIT)
    return unit["Service"]


def seconds(span: str) -> int:
    written = re.fullmatch(r"(\d+)(min|s|)", span)
    assert written, span
    return int(written[1]) * SPANS[written[2]]


def test_the_unit_runs_the_daemon_without_an_embedded_database(
    service: configparser.SectionProxy,
) -> None:
    assert service["Type"] == "notify"
    assert service["ExecStart"].endswith("/webhookd run --no-embedded")
    assert service["Restart"] == "always"
    assert int(service["LimitNOFILE"]) >= 4 * Config().delivery.concurrency


def test_the_unit_gives_the_daemon_time_to_drain(service: configparser.SectionProxy) -> None:
    drain = Config().delivery.drain.total_seconds()

    assert seconds(service["TimeoutStopSec"]) >= drain + 10
    assert seconds(service["WatchdogSec"]) >= 10


def test_the_unit_s_user_is_the_one_that_sysusers_creates(
    service: configparser.SectionProxy,
) -> None:
    text = (package_file("systemd") / "penguinmails-webhooks.sysusers.conf").read_text()

    created = [line.split()[1] for line in text.splitlines() if line.startswith("u ")]

    assert created == [service["User"]]


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("MemoryDenyWriteExecute", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("RestrictNamespaces", "yes"),
        ("CapabilityBoundingSet", ""),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("SystemCallArchitectures", "native"),
    ],
)
def test_the_unit_sandboxes_the_daemon(
    directive: str, value: str, service: configparser.SectionProxy
) -> None:
    assert service[directive] == value


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_analyze_accepts_the_unit(tmp_path: Path) -> None:
    text = (package_file("systemd") / UNIT).read_text()
    copy = tmp_path / UNIT  # its programs are one that exists
    copy.write_text(re.sub(r"(?m)^(Exec\w+=)\S+", r"\1/bin/true", text))

    verdict = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    exposure = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--threshold=15", "--no-pager", copy],
        capture_output=True,
        text=True,
        check=False,
    )

    assert UNIT not in verdict.stderr, verdict.stderr
    assert exposure.returncode == 0, exposure.stdout + exposure.stderr
