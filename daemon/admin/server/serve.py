"""Serves an application on listening sockets, with limits, until the caller ends it."""

import logging
import socket
from collections.abc import Sequence

from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.server import connection_limits
from daemon.admin.server.connection_limits import LimitedSite
from daemon.admin.server.connection_places import ConnectionPlaces
from daemon.admin.server.paced_input import INPUT_SHARE
from daemon.admin.server.protocol import AdminRunner
from daemon.runtime.loop_share import LoopShare

# aiohttp's log messages quote malformed requests, tokens included, so they are all dropped.
# `middlewares` logs the failures of handlers.
SILENT_LOGGER = logging.getLogger("webhookd.admin")
SILENT_LOGGER.setLevel(logging.CRITICAL + 1)


async def serve(
    app: web.Application, sockets: Sequence[socket.socket], *, proxies: TrustedProxies
) -> web.AppRunner:
    """
    Accept connections on `sockets`; those from `proxies` are not bounded per peer.

    Returns the runner, for the caller to clean up, which closes the sockets.
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
    places, share = ConnectionPlaces(), LoopShare(INPUT_SHARE)
    try:
        for each in sockets:
            await LimitedSite(runner, each, places, share=share, proxies=proxies).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner
