"""The admin server's socket: opened, served, closed."""

import logging

from aiohttp import web

from daemon.admin.server import connection_limits
from daemon.admin.server.protocol import Runner

# aiohttp tells of requests that are not HTTP by quoting them, tokens and all. What fails in a
# handler of ours is logged by `problems`.
SILENCE = logging.getLogger("webhookd.admin")


async def serve(app: web.Application, *, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Start listening; returns what to clean up, and the port that was taken. Raises OSError."""
    runner = Runner(
        app,
        access_log=None,
        logger=SILENCE,
        handle_signals=False,
        shutdown_timeout=1.0,
        keepalive_timeout=connection_limits.IDLE_SECONDS,
        lingering_time=2.0,  # for the rest of a body that nobody reads
        handler_cancellation=True,  # nobody waits for the answer to who has gone
    )
    await runner.setup()
    try:
        await connection_limits.Site(runner, host, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]
