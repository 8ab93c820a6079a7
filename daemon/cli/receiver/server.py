"""
The receiver of `webhookd listen`: takes a delivery, judges it, prints it, answers.

Nothing that is sent to it makes it fail, grow, or print what is not a line of its own.
"""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from daemon.cli.receiver.delivery import Delivery, Reply
from daemon.cli.receiver.report import line_of, record_of, shown_body
from daemon.cli.receiver.signature_check import (
    judge_both,
)
from daemon.cli.support.console import Screen, printable
from daemon.core.errors import UsageError, WebhookdError

LARGEST_BODY = 2 * 1024 * 1024
ANSWER_KEPT = 64 * 1024  # a sender of webhooks reads less
FORWARD_SECONDS = 30.0

# RFC 9110, section 7.6.1: these are between two neighbours; the last three the client sets.
NEIGHBOURS = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
NEIGHBOURS |= {"proxy-authenticate", "proxy-authorization", "proxy-connection"}
NEIGHBOURS |= {"host", "content-length", "expect"}


class Forward:
    """A local application that is to see the deliveries as well. Raises UsageError."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
        except ValueError:
            usable = False
        if not usable:
            raise UsageError("--forward-to: this is not a URL like http://localhost:3000/webhooks")
        self.url = URL(url)
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Receiver:
    """Takes deliveries. `stop` ends it; `unread` says that nobody reads what it prints any more."""

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        status: int,
        delay: timedelta,
        forward: Forward | None,
        print_bodies: bool,
        as_json: bool,
    ) -> None:
        self.stop = asyncio.Event()
        self.unread = False
        self.secrets = secrets
        self.session: aiohttp.ClientSession | None = None
        self._status = status
        self._delay = delay
        self._forward = forward
        self._print_bodies = print_bodies
        self._as_json = as_json
        self._screen = Screen()

    async def receive(self, request: web.Request) -> web.Response:
        """Take one request, and answer it."""
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"}, text="Deliveries are POST\n")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            self._print_refusal(request)
            return web.Response(status=413, text="The body is over 2 MiB\n")
        delivery = Delivery(datetime.now(UTC), request.path_qs, _merged(request), body)
        reply = await self._reply_to(delivery)
        await self._take_time()
        if request.transport is None or request.transport.is_closing():
            reply = replace(reply, trouble="the sender did not wait for the answer")
        self._print(delivery, reply)
        return web.Response(
            status=reply.status,
            body=reply.body,
            headers={"Content-Type": reply.content_type} if reply.content_type else None,
        )

    async def _reply_to(self, delivery: Delivery) -> Reply:
        if self._forward is None:
            return Reply(self._status)
        assert self.session is not None
        headers = {n: v for n, v in delivery.headers.items() if n not in NEIGHBOURS}
        try:
            async with self.session.post(
                self._forward.url, data=delivery.body, headers=headers, allow_redirects=False
            ) as answer:
                content = await _beginning_of(answer)
                return Reply(answer.status, content, answer.headers.get("Content-Type"))
        except TimeoutError:
            return Reply(502, trouble=f"{self._forward.shown} gave no answer in time")
        except (aiohttp.ClientError, OSError):
            return Reply(502, trouble=f"{self._forward.shown} cannot be reached")
        except ValueError:  # a header that may come, but may not go
            return Reply(502, trouble="the delivery's headers cannot be passed on")

    async def _take_time(self) -> None:
        """The delay that was asked for, but not past a stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay.total_seconds()):
                await self.stop.wait()

    def _print(self, delivery: Delivery, reply: Reply) -> None:
        now = delivery.at.timestamp()
        try:
            if self._as_json:
                record = record_of(delivery, reply, self.secrets, now=now)
                print(json.dumps(record), flush=True)
                return
            verdict = judge_both(delivery.body, delivery.headers, self.secrets, now=now)
            self._screen.show(line_of(delivery, reply, verdict))
            if self._print_bodies:
                self._screen.show(shown_body(delivery.body, pretty=self._screen.is_terminal))
        except BrokenPipeError:
            self.unread = True
            self.stop.set()

    def _print_refusal(self, request: web.Request) -> None:
        if not self._as_json:
            at = datetime.now().astimezone()
            self._screen.show(
                f"{at:%H:%M:%S}  refused with 413: the body for {printable(request.path)}"
                " is over 2 MiB"
            )


@asynccontextmanager
async def listening(receiver: Receiver, host: str, port: int) -> AsyncIterator[str]:
    """Serve until the block ends; gives the URL. Raises WebhookdError when the port is taken."""
    application = web.Application(client_max_size=LARGEST_BODY)
    application.router.add_route("*", "/{path:.*}", receiver.receive)
    runner = web.AppRunner(
        application, access_log=None, shutdown_timeout=1.0, auto_decompress=False
    )
    timeout = aiohttp.ClientTimeout(total=FORWARD_SECONDS)
    await runner.setup()
    try:
        await _bind(runner, host, port)
        bound = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        # Cookies of the application are nobody's business here.
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(
            timeout=timeout,
            cookie_jar=jar,
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        ) as receiver.session:
            yield f"http://{shown}:{bound[1]}"
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        # asyncio's own text for a taken port repeats the address at length.
        reason = os_reason(error)
        raise WebhookdError(f"cannot listen on {host}:{port}: {reason}") from error


def os_reason(error: OSError) -> str:
    """`address already in use`, without what asyncio puts around it."""
    known = error.errno is not None and error.errno in errno.errorcode
    return (os.strerror(error.errno or 0) if known else error.strerror or str(error)).lower()


async def _beginning_of(answer: aiohttp.ClientResponse) -> bytes:
    content = b""
    async for part in answer.content.iter_chunked(ANSWER_KEPT):
        content += part
        if len(content) >= ANSWER_KEPT:
            break
    return content[:ANSWER_KEPT]


def _merged(request: web.Request) -> dict[str, str]:
    """Repeated headers as one, as RFC 9110 section 5.3 allows to read them."""
    merged: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        merged[lower] = f"{merged[lower]}, {value}" if lower in merged else value
    return merged
