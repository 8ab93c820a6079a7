"""
The receiver of `webhookd listen`: checks each delivery, prints it and answers.

Requests are untrusted: none may crash the receiver, fill its memory or control the terminal.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from aiohttp import web

from daemon.cli.receiver.delivery import Delivery, Reply, read_delivery
from daemon.cli.receiver.forwarder import Forwarder
from daemon.cli.receiver.report import delivery_line, delivery_record, printable_body
from daemon.cli.receiver.signature_check import check_signatures
from daemon.cli.support.console import Screen
from daemon.core.unprintable import escape


class Receiver:
    """
    Receives deliveries until `stop` is set.

    `output_closed` becomes true when the reader of our output has gone, as `head` does.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        status: int,
        delay: timedelta,
        forwarder: Forwarder | None,
        print_bodies: bool,
        as_json: bool,
    ) -> None:
        self.stop = asyncio.Event()
        self.output_closed = False
        self.secrets = secrets
        self._status = status
        self._delay = delay
        self._forwarder = forwarder
        self._print_bodies = print_bodies
        self._as_json = as_json
        self._screen = Screen()

    async def receive(self, request: web.Request) -> web.Response:
        """Handle one request."""
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"}, text="Deliveries are POST\n")
        try:
            delivery = await read_delivery(request)
        except web.HTTPRequestEntityTooLarge:
            self._print_refusal(request)
            return web.Response(status=413, text="The body is over 2 MiB\n")
        reply = await self._reply_to(delivery)
        await self._wait_for_delay()
        if request.transport is None or request.transport.is_closing():
            reply = replace(reply, trouble="the sender did not wait for the answer")
        self._print(delivery, reply)
        return web.Response(
            status=reply.status,
            body=reply.body,
            headers={"Content-Type": reply.content_type} if reply.content_type else None,
        )

    async def _reply_to(self, delivery: Delivery) -> Reply:
        if self._forwarder is None:
            return Reply(self._status)
        return await self._forwarder.forward(delivery)

    async def _wait_for_delay(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay.total_seconds()):
                await self.stop.wait()

    def _print(self, delivery: Delivery, reply: Reply) -> None:
        try:
            if self._as_json:
                self._print_record(delivery, reply)
            else:
                self._print_line(delivery, reply)
        except BrokenPipeError:
            self.output_closed = True
            self.stop.set()

    def _print_record(self, delivery: Delivery, reply: Reply) -> None:
        now = delivery.received_at.timestamp()
        print(json.dumps(delivery_record(delivery, reply, self.secrets, now=now)), flush=True)

    def _print_line(self, delivery: Delivery, reply: Reply) -> None:
        now = delivery.received_at.timestamp()
        check = check_signatures(delivery.body, delivery.headers, self.secrets, now=now)
        self._screen.show(delivery_line(delivery, reply, check))
        if self._print_bodies:
            self._screen.show(printable_body(delivery.body, pretty=self._screen.is_terminal))

    def _print_refusal(self, request: web.Request) -> None:
        if not self._as_json:
            at = datetime.now().astimezone()
            self._screen.show(
                f"{at:%H:%M:%S}  refused with 413: the body for {escape(request.path)}"
                " is over 2 MiB"
            )
