"""`webhookd listen`: a local receiver that prints deliveries and checks their signatures."""

import asyncio
import logging
import sys
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import SECRET_VARIABLE, JsonOption, secrets_given, switch
from daemon.core.errors import UsageError

if TYPE_CHECKING:
    from daemon.cli.receiver.forwarder import Forwarder
    from daemon.cli.receiver.receiver import Receiver


PortOption = Annotated[
    int,
    typer.Option(
        min=0, max=65535, help="The port to listen on; 0 takes a free one.", metavar="PORT"
    ),
]
HostOption = Annotated[str, typer.Option(help="The address to listen on.", metavar="ADDRESS")]
SecretOption = Annotated[
    list[str] | None,
    typer.Option(
        help="The webhook's secret, to check signatures with; may be repeated. "
        f"Better in ${SECRET_VARIABLE}: others can see arguments.",
        show_default=False,
        metavar="SECRET",
    ),
]
ForwardOption = Annotated[
    str | None,
    typer.Option(
        help="Forward each delivery to this URL, and return its answer.",
        show_default=False,
        metavar="URL",
    ),
]
StatusOption = Annotated[
    int | None,
    typer.Option(
        min=200,
        max=599,
        help="The status to answer with, to simulate a failing endpoint; 200 unless given.",
        metavar="STATUS",
    ),
]
DelayOption = Annotated[
    str,
    typer.Option(help="Wait before answering, to simulate a slow endpoint.", metavar="DURATION"),
]


@app.command()
def listen(
    *,
    port: PortOption = 9000,
    host: HostOption = "127.0.0.1",
    secret: SecretOption = None,
    forward_to: ForwardOption = None,
    status: StatusOption = None,
    delay: DelayOption = "0s",
    body: Annotated[bool, switch("--body", "Print each body too.")] = False,
    json: JsonOption = False,
) -> None:
    """
    Receive deliveries on this machine, print each, and check its signature.

    Every path is accepted. Ctrl-C ends it.
    """
    from daemon.cli.receiver.forwarder import Forwarder
    from daemon.cli.receiver.receiver import Receiver

    if forward_to is not None and status is not None:
        raise UsageError("--status and --forward-to: the answer can come from one of them only")
    forwarder = None if forward_to is None else Forwarder(forward_to)
    receiver = Receiver(
        secrets=secrets_given(secret or []),
        status=status or 200,
        delay=_delay_of(delay),
        forwarder=forwarder,
        print_bodies=body,
        as_json=json,
    )
    # aiohttp would log a traceback for every malformed request.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    asyncio.run(_listen(receiver, forwarder, host, port))


def _delay_of(text: str) -> timedelta:
    from daemon.config import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--delay: {error}") from None


async def _listen(
    receiver: "Receiver", forwarder: "Forwarder | None", host: str, port: int
) -> None:
    from daemon.cli.receiver.server import serve
    from daemon.cli.support.signals import stop_on_signals

    stop_on_signals(receiver.stop)
    async with serve(receiver.receive, host, port) as url, forwarder or nullcontext():
        checks = "" if receiver.secrets else "; without --secret no signature is checked"
        print(f"webhookd: listening on {url}, any path{checks}", file=sys.stderr, flush=True)
        await receiver.stop.wait()
    if receiver.output_closed:
        raise BrokenPipeError
