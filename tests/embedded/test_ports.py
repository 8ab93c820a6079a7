"""The server's port."""

import socket
from pathlib import Path

import pytest

from daemon import embedded
from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded import ports, startup
from tests.embedded.processes import query, running
from tests.support.postgres import FAST_SETTINGS


async def test_a_taken_requested_port_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "PORT_ATTEMPTS", 2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(EmbeddedPostgresError, match=rf"port {port} is taken"):
            await embedded.start(data, port=port, settings=FAST_SETTINGS)


async def test_a_chosen_port_that_is_taken_before_the_start_is_replaced(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        candidates = iter([taken, ports.free_port()])
        monkeypatch.setattr(startup, "free_port", lambda: next(candidates))

        async with running(data) as started:
            assert started.port != taken
            assert await query(started.url, "SELECT 1") == 1


def test_a_free_port_is_below_the_ports_of_outgoing_connections() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    found = {ports.free_port() for _ in range(50)}

    assert max(found) < max(low, 32_768)
    assert len(found) > 40
