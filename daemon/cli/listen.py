"""`webhookd listen`: a local receiver that prints deliveries and checks their signatures."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import (
    SECRET_VARIABLE,
    ConfigOption,
    JsonOption,
    load_config,
    secrets_given,
    switch,
)
from daemon.core.errors import UsageError

if TYPE_CHECKING:
    from daemon.cli.receiver.forwarder import Forwarder
    from daemon.cli.receiver.receiver import Receiver
    from daemon.config import Config


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
RegisterOption = Annotated[
    bool,
    switch(
        "--register",
        "Create a webhook that calls this receiver, in the configured database, and delete it"
        " at the end.",
    ),
]
TenantOption = Annotated[
    UUID | None,
    typer.Option(
        help="With --register: the tenant whose events it gets; may be left out if there is only"
        " one.",
        show_default=False,
        metavar="UUID",
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        help="With --register: the URL to call instead of this receiver's own, for a tunnel that"
        " leads here.",
        show_default=False,
        metavar="URL",
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The webhook to create: for which database, tenant and URL, and its secret."""

    config: "Config"
    tenant: UUID | None
    url: str | None
    secret: str


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
    register: RegisterOption = False,
    tenant: TenantOption = None,
    url: UrlOption = None,
    config: ConfigOption = None,
) -> None:
    """
    Receive deliveries on this machine, print each, and check its signature.

    Every path is accepted. Ctrl-C ends it. With --register, nothing else is needed for a first
    delivery but a daemon and `webhookd trigger`.
    """
    from daemon.cli.receiver.forwarder import Forwarder
    from daemon.cli.receiver.receiver import Receiver

    if forward_to is not None and status is not None:
        raise UsageError("--status and --forward-to: the answer can come from one of them only")
    wanted = _wanted(config, tenant, url, secret) if register else None
    if wanted is None and (tenant, url, config) != (None, None, None):
        raise UsageError("--tenant, --url and --config: only with --register")
    forwarder = None if forward_to is None else Forwarder(forward_to)
    receiver = Receiver(
        secrets=secrets_given(secret or []) if wanted is None else [wanted.secret],
        status=status or 200,
        delay=_delay_of(delay),
        forwarder=forwarder,
        print_bodies=body,
        as_json=json,
    )
    # aiohttp would log a traceback for every malformed request.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    asyncio.run(_listen(receiver, forwarder, host, port, wanted))


def _wanted(
    path: Path | None, tenant: UUID | None, url: str | None, secrets: list[str] | None
) -> Wanted:
    from daemon.secrets.new_secret import new_secret

    if secrets:
        raise UsageError("--secret and --register: the new webhook gets a secret of its own")
    return Wanted(load_config(path), tenant, url, new_secret())


def _delay_of(text: str) -> timedelta:
    from daemon.config import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--delay: {error}") from None


async def _listen(
    receiver: "Receiver",
    forwarder: "Forwarder | None",
    host: str,
    port: int,
    wanted: Wanted | None,
) -> None:
    from daemon.cli.receiver.server import serve
    from daemon.cli.support.signals import stop_on_signals

    stop_on_signals(receiver.stop)
    async with serve(receiver.receive, host, port) as url, forwarder or nullcontext():
        checks = "" if receiver.secrets else "; without --secret no signature is checked"
        print(f"webhookd: listening on {url}, any path{checks}", file=sys.stderr, flush=True)
        async with nullcontext() if wanted is None else _registered(wanted, url):
            await receiver.stop.wait()
    if receiver.output_closed:
        raise BrokenPipeError


@asynccontextmanager
async def _registered(wanted: Wanted, own_url: str) -> AsyncIterator[None]:
    from daemon.cli.receiver.registration import registered

    url = wanted.url or f"{own_url}/"
    async with registered(wanted.config, url, wanted.secret, tenant=wanted.tenant) as created:
        print(
            f"webhookd: webhook {created.webhook_id} of tenant {created.tenant_id} calls {url}"
            " until this command ends",
            file=sys.stderr,
            flush=True,
        )
        yield
    print(f"webhookd: webhook {created.webhook_id} is removed", file=sys.stderr)
