"""An HTTP server for local receivers: one handler for every path and method."""

import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from daemon.core.errors import WebhookdError

MAX_BODY_BYTES = 2 * 1024 * 1024


@asynccontextmanager
async def serve(
    handler: Callable[[web.Request], Awaitable[web.Response]], host: str, port: int
) -> AsyncIterator[str]:
    """
    Serve until the block ends, and yield the base URL; port 0 takes a free one.

    Raises WebhookdError when the address cannot be bound.
    """
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(
        application, access_log=None, shutdown_timeout=1.0, auto_decompress=False
    )
    await runner.setup()
    try:
        await _bind(runner, host, port)
        address = runner.addresses[0]
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield f"http://{shown}:{address[1]}"
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise WebhookdError(f"cannot listen on {host}:{port}: {_os_reason(error)}") from error


def _os_reason(error: OSError) -> str:
    """`address already in use`, without asyncio's text, which repeats the address at length."""
    known = error.errno is not None and error.errno in errno.errorcode
    return (os.strerror(error.errno or 0) if known else error.strerror or str(error)).lower()
