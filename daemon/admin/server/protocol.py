"""How we answer what is not HTTP: aiohttp's own answer quotes the line, with a token perhaps."""

import asyncio
from functools import partial
from typing import Any

from aiohttp import web

from daemon.admin.api.problems import Problem


class Runner(web.AppRunner):
    """An application's, with our protocol in place of aiohttp's."""

    @property
    def server(self) -> Any:
        """What makes a protocol for each connection; None before the setup."""
        server = super().server
        if server is None:
            return None
        return partial(_Protocol, server, loop=asyncio.get_running_loop(), **server._kwargs)


class _Protocol(web.RequestHandler):
    """aiohttp's, but for errors that come before or behind the application."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        sentence = "this is not HTTP" if status < 500 else "this failed for a reason of our own"
        headers = {"Server": "webhookd", "X-Content-Type-Options": "nosniff"}
        response = Problem(status, sentence, headers=headers).response()
        response.force_close()
        return response
