"""The daemon of the demo: the real one, in this process, with a short retry schedule."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import structlog
from structlog.typing import EventDict, WrappedLogger

from daemon import logs
from daemon.config import Admin, Config, Delivery, Egress, OperatorToken
from daemon.embedded import ports
from daemon.service import Service

DELIVERY = Delivery(
    retry_schedule=tuple(timedelta(seconds=seconds) for seconds in (1, 2, 3, 4, 5)),
    pause_after=12,
    failing_backoff=timedelta(milliseconds=250),  # the pause comes within seconds
    drain=timedelta(seconds=2),
)


@asynccontextmanager
async def running_daemon(
    database_url: str, *, endpoints_port: int, operator: OperatorToken
) -> AsyncIterator[Service]:
    """
    Run the daemon during the block.

    It may call `endpoints_port` on 127.0.0.1, and what daemons may call by default.
    """
    egress = Egress(
        allow_http=True,
        allow_networks=(ip_network("127.0.0.1/32"),),
        allow_ports=(*Egress().allow_ports, (endpoints_port, endpoints_port)),
    )
    # The console's links name the port, so it is chosen before.
    admin = Admin(port=ports.free_port(), tokens=(operator,))
    config = Config(delivery=DELIVERY, egress=egress, admin=admin)
    service = Service(config, database_url=database_url)
    ready = asyncio.Event()
    running = asyncio.create_task(service.run(on_ready=ready.set))
    running.add_done_callback(lambda _: ready.set())  # a failed start ends the wait, too
    await ready.wait()
    try:
        if not running.done():
            yield service
    finally:
        service.stop()
        await running


def configure_logs(*, verbose: bool) -> None:
    """Log warnings only, and without the health changes, which the display shows anyway."""
    logs.configure("auto", "info" if verbose else "warning")
    if not verbose:
        structlog.get_config()["processors"].insert(0, _drop_health_changes)


def _drop_health_changes(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    if fields.get("event") == "endpoint.changed":
        raise structlog.DropEvent
    return fields
