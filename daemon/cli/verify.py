"""`webhookd verify`: checks the signature of one request offline, of either scheme."""

import re
import sys
import time
from datetime import timedelta
from typing import Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import SECRET_VARIABLE, secrets_given
from daemon.core.errors import UsageError
from daemon.core.wire import verification
from daemon.core.wire.verification import StandardCheck

OWN = re.compile(r"sha256=[0-9a-f]{64}")
STANDARD = re.compile(r"v[0-9]+[a-z]?,[^ ]+( v[0-9]+[a-z]?,[^ ]+)*")
FORMS = (
    "the signature is neither of the form sha256=<64 lower-case hex digits> nor v1,<base64>, one or"
    " several with spaces between them"
)
EMPTY = "the body on stdin is empty"
NEWLINE = (
    "the body ends in a newline that was not sent;"
    " without it the signature is valid (echo adds one, printf %s does not)"
)
ANY_AGE = timedelta.max
PROBLEMS = {
    StandardCheck.BAD_SIGNATURE: "not the signature of this body, id, timestamp and secret",
    StandardCheck.BAD_TIMESTAMP: "the timestamp is not a number of seconds since 1970",
    StandardCheck.TOO_OLD: "the timestamp is older than --tolerance allows",
    StandardCheck.TOO_NEW: "the timestamp is further in the future than --tolerance allows",
    StandardCheck.NO_KEY: "the secret is not base64 after whsec_: it makes no such signature",
}


SignatureOption = Annotated[
    str,
    typer.Option(
        metavar="SIGNATURE",
        help="The header X-PenguinMails-Signature (sha256=…), or webhook-signature (v1,…).",
        show_default=False,
    ),
]
SecretOption = Annotated[
    str | None,
    typer.Option(
        help=f"The webhook's secret. Better in ${SECRET_VARIABLE}: others can see arguments.",
        show_default=False,
        metavar="SECRET",
    ),
]
IdOption = Annotated[
    str | None,
    typer.Option(
        "--id",
        help="The header webhook-id; needed with v1,….",
        show_default=False,
        metavar="ID",
    ),
]
TimestampOption = Annotated[
    str | None,
    typer.Option(
        help="The header webhook-timestamp; needed with v1,….",
        show_default=False,
        metavar="SECONDS",
    ),
]
ToleranceOption = Annotated[
    str | None,
    typer.Option(
        help="How far the timestamp may be from now, such as 5m; by default any age is valid.",
        show_default=False,
        metavar="DURATION",
    ),
]


@app.command()
def verify(
    signature: SignatureOption,
    secret: SecretOption = None,
    id_: IdOption = None,
    timestamp: TimestampOption = None,
    tolerance: ToleranceOption = None,
) -> None:
    """
    Check the signature of a body, given on stdin as the raw bytes received.

    Of a Standard Webhooks signature the timestamp is signed too, but its age is only checked with
    --tolerance: receivers usually allow 5m. Prints `valid` and exits with 0, or `INVALID: …` and
    exits with 1.
    """
    (key,) = secrets_given([] if secret is None else [secret], needed=True)
    headers = _standard_headers(signature, id_, timestamp, tolerance)
    if sys.stdin.isatty():
        print("webhookd: type or paste the body, then press Ctrl-D", file=sys.stderr)
    body = sys.stdin.buffer.read()
    if headers is None:
        problem = signature_problem(body, signature, key)
    else:
        problem = standard_problem(
            body, signature, key, headers=headers, tolerance=_tolerance(tolerance)
        )
    print("valid" if problem is None else f"INVALID: {problem}")
    raise typer.Exit(0 if problem is None else 1)


def signature_problem(body: bytes, signature: str, secret: str) -> str | None:
    """Return what is wrong with the `sha256=…` signature of this body, or None if it is valid."""
    if not OWN.fullmatch(signature):
        return FORMS
    if verification.verify(body, signature, [secret]):
        return None
    if any(verification.verify(each, signature, [secret]) for each in _without_newline(body)):
        return NEWLINE
    return EMPTY if not body else "this is not the signature of this body with this secret"


def standard_problem(
    body: bytes,
    signatures: str,
    secret: str,
    *,
    headers: tuple[str, str],
    tolerance: timedelta = ANY_AGE,
) -> str | None:
    """
    Return what is wrong with a Standard Webhooks signature, or None if one of several is valid.

    `headers` are webhook-id and webhook-timestamp.
    """

    def check(each: bytes) -> StandardCheck:
        return verification.verify_standard(
            each,
            signatures,
            [secret],
            message_id=headers[0],
            timestamp=headers[1],
            now=time.time(),
            tolerance=tolerance,
        )

    result = check(body)
    if result is StandardCheck.GOOD:
        return None
    if result is StandardCheck.BAD_SIGNATURE:
        if any(check(each) is StandardCheck.GOOD for each in _without_newline(body)):
            return NEWLINE
        if not body:
            return EMPTY
    return PROBLEMS[result]


def _without_newline(body: bytes) -> list[bytes]:
    return [body.removesuffix(end) for end in (b"\r\n", b"\n") if body.endswith(end)]


def _standard_headers(
    signature: str, id_: str | None, timestamp: str | None, tolerance: str | None
) -> tuple[str, str] | None:
    """The id and the timestamp of a Standard Webhooks signature; None for the own scheme's."""
    if STANDARD.fullmatch(signature):
        if id_ is None or timestamp is None:
            raise UsageError(
                "--id, --timestamp: a signature v1,… is made over these too: give the headers"
                " webhook-id and webhook-timestamp"
            )
        return id_, timestamp
    if (id_, timestamp, tolerance) != (None, None, None):
        raise UsageError("--id, --timestamp, --tolerance: belong to a signature v1,…")
    return None


def _tolerance(text: str | None) -> timedelta:
    from daemon.config import parse_duration

    if text is None:
        return ANY_AGE
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--tolerance: {error}") from None
