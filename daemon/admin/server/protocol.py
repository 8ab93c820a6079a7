"""
aiohttp's request handler, which counts the responses that it sends and answers malformed HTTP.

aiohttp's own error responses quote the malformed line, which may contain a token.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web
from yarl import URL

from daemon.admin.api.loop_time import END_TURN
from daemon.admin.api.problems import Problem
from daemon.admin.server.connection_limits import LimitedConnection
from daemon.admin.server.response_writer import ResponseWriter
from daemon.admin.server.unread_responses import (
    RESPONSE_OWNER,
    UNREAD_RESPONSES,
    UnreadResponses,
    bytes_of,
)


class AdminRunner(web.AppRunner):
    """An aiohttp runner whose connections use our request handler."""

    @property
    def server(self) -> Any:
        """The factory of the protocol of a connection; None before `setup`."""
        server = super().server
        if server is None:
            return None
        # aiohttp has no public way to replace the protocol class and keep the server's options.
        return partial(
            _RequestHandler,
            server,
            unread=self.app[UNREAD_RESPONSES],
            loop=asyncio.get_running_loop(),
            **server._kwargs,
        )


class _RequestHandler(web.RequestHandler):
    """aiohttp's request handler, except for what happens outside the application's middlewares."""

    __slots__ = ("_unread",)

    def __init__(self, manager: Any, *, unread: UnreadResponses, **options: Any) -> None:
        super().__init__(manager, **options)
        self._unread = unread
        self._request_factory = partial(_request_of, manager.request_factory)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response; the connection is idle when the client has read it."""
        connection = self._connection()
        owner = request.get(RESPONSE_OWNER) or (connection and connection.peer)
        try:
            with self._unread.sending(owner, bytes_of(resp), self._abort):
                finished = await super().finish_response(request, resp, start_time)
        finally:
            if (end_turn := request.get(END_TURN)) is not None:
                end_turn()
        if (connection := self._connection()) is not None:
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

    def _connection(self) -> LimitedConnection | None:
        """The connection; None once it is closed."""
        protocol = None if self.transport is None else self.transport.get_protocol()
        return protocol if isinstance(protocol, LimitedConnection) else None

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def _request_of(factory: Callable[..., web.BaseRequest], message: Any, *parts: Any) -> Any:
    """
    The request of a message, whose response is written in pieces.

    Also where the host in its target is no name, such as `xn--a`: aiohttp would log such a one with
    its traceback, and leave it unanswered. The target itself stays what it is, for the check of its
    host.
    """
    payload, protocol, _writer, task = parts
    parts = payload, protocol, ResponseWriter(protocol, asyncio.get_running_loop()), task
    try:
        return factory(message, *parts)
    except ValueError:
        return factory(message._replace(url=URL("/")), *parts)
