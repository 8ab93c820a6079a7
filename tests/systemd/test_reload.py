"""A reload takes over changed settings: no delivery is lost, and no connection is refused."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from daemon.admin.server import manager_reports
from daemon.service import Service
from tests.support.api_client import OPERATOR, operator_client
from tests.support.application import Application
from tests.support.daemons import config, metrics_of, serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver


async def healthz(port: int) -> bytes:
    """Ask over a connection of its own. Raises OSError if it is refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def built_again(service: Service, before: object) -> bool:
    return service._components is not None and service._components is not before


async def test_nothing_is_lost_or_refused_while_a_reload_changes_deliveries(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    answers: list[bytes] = []

    async with serving(database) as service:
        before, port = service._components, service.port

        async def publish() -> None:
            for _ in range(30):
                await app.event(tenant)
                answers.append(await healthz(port))

        publishing = asyncio.create_task(publish())
        await until(lambda: receiver.received)
        service.reload(config(delivery={"concurrency": 3}))
        await until(lambda: built_again(service, before))
        await publishing
        await until(lambda: settled(app, webhook, "success", 30))

    assert len(receiver.received) == 30
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


async def test_a_reload_opens_the_api_changes_rules_and_names_what_needs_a_restart(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    changed: dict[str, dict[str, Any]] = {
        "admin": {"tokens": [OPERATOR], "port": 0},
        "egress": {"deny_networks": ["127.0.0.0/8"]},
        "database": {"pool_size": 7},
    }

    async with serving(database) as service:
        before = service._components
        service.reload(config(**changed))
        await until(lambda: built_again(service, before))
        async with operator_client(service, tenant) as api:
            refused = await api.post(
                "/api/webhooks",
                {"name": "n", "endpointUrl": receiver.url, "eventTypes": ["email.sent"]},
            )
        page = await metrics_of(service)

    assert refused.status == 422
    assert service._config.database.pool_size == 8
    assert "\nwebhookd_settings_waiting_for_restart 1.0\n" in page


async def test_master_keys_alone_are_taken_over_in_place(database: str) -> None:
    keys = {"master_keys": ["0123456789abcdef0123456789abcdef"]}

    async with serving(database) as service:
        before = service._components
        service.reload(config(security=keys, log={"level": "error"}))

        assert service._components is before
        assert not service._leave.is_set()
        assert before is not None
        assert len(before.vault.key_ids) == 1


async def test_systemd_gets_live_figures_and_learns_of_a_reload(
    app: Application,
    database: str,
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tenant = await app.tenant()
    await app.webhook(tenant, receiver.url + "/hook")
    monkeypatch.setattr(manager_reports, "INTERVAL_SECONDS", 0.05)
    messages: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        loop = asyncio.get_running_loop()
        loop.add_reader(manager, lambda: messages.append(manager.recv(4096).decode()))

        async with serving(database) as service:
            await app.event(tenant)
            await until(lambda: any(is_busy(each) for each in messages))
            service.reload(config(delivery={"concurrency": 3}))
            await until(lambda: sum("READY=1" in each for each in messages) == 2)
        await until(lambda: "STOPPING=1" in messages)
        loop.remove_reader(manager)

    reloading = next(n for n, each in enumerate(messages) if each.startswith("RELOADING=1\n"))
    assert messages[reloading].partition("MONOTONIC_USEC=")[2].isdigit()
    assert messages[0] == "READY=1\nSTATUS=Delivering"
    assert "READY=1\nSTATUS=Delivering" in messages[reloading:]


def is_busy(message: str) -> bool:
    """Whether this is the line of a daemon that has just made an attempt."""
    return (
        message.startswith("STATUS=Delivering: ")
        and " 0.0 attempts a second" not in message
        and " pending, the oldest due for 0 s" in message
    )
