"""The request and the response of one attempt, and the time that each phase took."""

from shlex import quote

from daemon.admin import schemas
from daemon.core.model.attempts import AttemptResult, Response

MAX_BODY_BYTES = 64 * 1024
MAX_CURL_BYTES = 16 * 1024  # quoted for the shell, seven times that at worst

# curl sets these headers itself.
HEADERS_OF_CURL = {"content-length", "host", "accept", "accept-encoding"}


def sent_request(
    head: str, body: bytes, *, scheme: str, left_out: bool = False
) -> schemas.SentRequest:
    """
    Show a request by the `head` of its trace: request line and headers, CRLF between them.

    Of a body that was `left_out`, the size is that of the head.

    Raises ValueError or LookupError for a head of another form.
    """
    line, *lines = head.rstrip("\r\n").split("\r\n")
    headers = dict(each.split(": ", 1) for each in lines)
    url = f"{scheme}://{headers['Host']}{line.split(' ')[1]}"
    size = int(headers.get("Content-Length", 0)) if left_out else len(body)
    text, cut = body[:MAX_BODY_BYTES].decode(errors="ignore"), size > MAX_BODY_BYTES
    return schemas.SentRequest(
        url=url,
        headers=headers,
        body=text,
        body_cut=cut,
        body_size=size,
        curl=None if size > MAX_CURL_BYTES else _curl_command(url, headers, text),
    )


def scheme_of(url: str) -> str:
    """`http` or `https`; the stored URL may be invalid by now."""
    return "http" if url[:7].lower() == "http://" else "https"


def timing(stages: object, total_ms: int | None) -> schemas.Timing:
    """Show the milliseconds per phase; `stages` is that member of a stored trace."""
    known = stages if isinstance(stages, dict) else {}
    phases = {
        f"{name}_ms": known[name] if type(known.get(name)) is int else None
        for name in ("lookup", "connect", "tls", "answer")
    }
    return schemas.Timing(**phases, total_ms=total_ms)


def exchange(
    attempted: AttemptResult, body: bytes
) -> tuple[schemas.SentRequest | None, schemas.ReceivedResponse | None, schemas.Timing]:
    """Show the request, the response and the timing of an attempt that was just made."""
    outcome, request, stages = attempted.outcome, None, {}
    if outcome.trace is not None:
        scheme = scheme_of(attempted.claim.endpoint_url)
        request = sent_request(outcome.trace.head, body, scheme=scheme)
        stages = dict(outcome.trace.stages)
    response = None
    if isinstance(outcome.result, Response):
        received = outcome.result
        response = schemas.ReceivedResponse(
            status_code=received.status, headers=dict(received.headers), body=received.body
        )
    return request, response, timing(stages, outcome.took_ms)


def _curl_command(url: str, headers: dict[str, str], body: str) -> str:
    options = [
        f"-H {quote(f'{name}: {value}')}"
        for name, value in headers.items()
        if name.lower() not in HEADERS_OF_CURL
    ]
    # A URL may have brackets and braces, of which curl would make many requests.
    command = f"curl --globoff -X POST {quote(url)}"
    return " \\\n  ".join([command, *options, f"--data-binary {quote(body)}"])
