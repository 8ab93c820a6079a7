"""`webhookd verify`: checks one signature offline."""

import re
import sys
from typing import Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import SECRET_VARIABLE, secrets_given
from daemon.core.wire import verification

SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")


@app.command()
def verify(
    signature: Annotated[
        str,
        typer.Option(
            metavar="sha256=HEX", help="The X-PenguinMails-Signature header.", show_default=False
        ),
    ],
    secret: Annotated[
        str | None,
        typer.Option(
            help=f"The webhook's secret. Better in ${SECRET_VARIABLE}: others can see arguments.",
            show_default=False,
            metavar="SECRET",
        ),
    ] = None,
) -> None:
    """
    Check the signature of a body, given on stdin as the raw bytes received.

    Prints `valid` and exits with 0, or `INVALID: …` and exits with 1.
    """
    (key,) = secrets_given([] if secret is None else [secret], needed=True)
    if sys.stdin.isatty():
        print("webhookd: type or paste the body, then press Ctrl-D", file=sys.stderr)
    problem = signature_problem(sys.stdin.buffer.read(), signature, key)
    print("valid" if problem is None else f"INVALID: {problem}")
    raise typer.Exit(0 if problem is None else 1)


def signature_problem(body: bytes, signature: str, secret: str) -> str | None:
    """Return what is wrong with the `sha256=…` signature of this body, or None if it is valid."""
    if not SIGNATURE.fullmatch(signature):
        return "the signature is not of the form sha256=<64 lower-case hex digits>"
    if verification.verify(body, signature, [secret]):
        return None
    for end in (b"\r\n", b"\n"):
        if body.endswith(end) and verification.verify(body.removesuffix(end), signature, [secret]):
            return (
                "the body ends in a newline that was not sent;"
                " without it the signature is valid (echo adds one, printf %s does not)"
            )
    if not body:
        return "the body on stdin is empty"
    return "this is not the signature of this body with this secret"
