"""The listening socket of the admin server: opened with limits, and closed by the caller."""

import logging

from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.server import connection_limits
from daemon.admin.server.protocol import AdminRunner

# aiohttp's log messages quote malformed requests, tokens included, so they are all dropped.
# `middlewares` logs the failures of handlers.
SILENT_LOGGER = logging.getLogger("webhookd.admin")
SILENT_LOGGER.setLevel(logging.CRITICAL + 1)


async def serve(
    app: web.Application, *, host: str, port: int, proxies: TrustedProxies
) -> tuple[web.AppRunner, int]:
    """
    Start listening; connections from `proxies` are not bounded per peer.

    Returns the runner, for the caller to clean up, and the port (chosen by the system for port 0).
    Raises OSError when the address cannot be bound.
    """
    runner = AdminRunner(
        app,
        access_log=None,
        logger=SILENT_LOGGER,
        handle_signals=False,
        shutdown_timeout=1.0,
        keepalive_timeout=connection_limits.IDLE_SECONDS,
        lingering_time=2.0,  # to drain a body that no handler reads
        handler_cancellation=True,  # a client that disconnects cancels its request
    )
    await runner.setup()
    try:
        await connection_limits.LimitedSite(runner, host, port, proxies=proxies).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]
