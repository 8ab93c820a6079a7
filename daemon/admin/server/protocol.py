"""
aiohttp's request handler, which reports the end of each response and answers malformed HTTP.

aiohttp's own error responses quote the malformed line, which may contain a token.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web
from yarl import URL

from daemon.admin.api.problems import Problem
from daemon.admin.server.connection_limits import LimitedConnection


class AdminRunner(web.AppRunner):
    """An aiohttp runner whose connections use our request handler."""

    @property
    def server(self) -> Any:
        """The factory of the protocol of a connection; None before `setup`."""
        server = super().server
        if server is None:
            return None
        # aiohttp has no public way to replace the protocol class and keep the server's options.
        return partial(_RequestHandler, server, loop=asyncio.get_running_loop(), **server._kwargs)


class _RequestHandler(web.RequestHandler):
    """aiohttp's request handler, except for what happens outside the application's middlewares."""

    __slots__ = ()

    def __init__(self, manager: Any, **options: Any) -> None:
        super().__init__(manager, **options)
        self._request_factory = partial(_request_of, manager.request_factory)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response; the connection is idle when the client has read it."""
        finished = await super().finish_response(request, resp, start_time)
        connection = None if self.transport is None else self.transport.get_protocol()
        if isinstance(connection, LimitedConnection):
            connection.end_request()
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with a problem document, unless a response has begun."""
        if request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        sentence = "malformed HTTP request" if status < 500 else "internal error"
        headers = {"Server": "webhookd", "X-Content-Type-Options": "nosniff"}
        response = Problem(status, sentence, headers=headers).response()
        response.force_close()
        return response


def _request_of(factory: Callable[..., web.BaseRequest], message: Any, *rest: Any) -> Any:
    """
    The request of a message, also where the host in its target is no name, such as `xn--a`.

    aiohttp would log such a one with its traceback, and leave it unanswered. The target itself
    stays what it is, for the check of its host.
    """
    try:
        return factory(message, *rest)
    except ValueError:
        return factory(message._replace(url=URL("/")), *rest)
