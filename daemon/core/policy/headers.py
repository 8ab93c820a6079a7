"""
Which headers a customer may add to requests: those of RFC 9110's grammar, except reserved names.

Names have no underscore: CGI, WSGI and many proxies read it as a hyphen, so that `X_Forwarded_For`
would be one of the reserved names after all.

`Authorization` is not reserved: basic authentication and bearer tokens are custom headers.
"""

import re
from collections.abc import Mapping

from daemon.core.policy.refusal import Refusal

MOST_HEADERS = 32
LONGEST_NAME = 128
LONGEST_VALUE = 4096
MOST_BYTES = 16 * 1024  # servers' own limits on a request's head begin at 8 to 32 KiB

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
# Section 5.5 without obs-text: visible ASCII, white space only inside. Empty is allowed there too.
VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")

SEALED = "sealed:"  # a stored value with this prefix would be unsealed instead of sent

RESERVED = frozenset(
    {
        # Framing and connection control: a second value would allow request smuggling.
        "alt-used", "connection", "content-encoding", "content-length", "content-type",
        "early-data", "expect", "host", "http2-settings", "keep-alive", "max-forwards", "te",
        "trailer", "trailers", "transfer-encoding", "upgrade", "via",
        # How to respond, and who sends the request.
        "accept-encoding", "content-range", "range", "user-agent",
        # The identity of another client, and overrides of the receiver's own routing.
        "cf-connecting-ip", "client-ip", "fastly-client-ip", "forwarded", "true-client-ip",
        "x-client-ip", "x-cluster-client-ip", "x-host", "x-http-host-override", "x-http-method",
        "x-http-method-override", "x-method-override", "x-original-host", "x-original-url",
        "x-real-ip", "x-rewrite-url",
        # Required by the metadata services of clouds: if one is ever reached, it must not respond.
        "metadata", "metadata-flavor", "x-metadata-token",
    }
)  # fmt: skip
RESERVED_FAMILIES = (
    "proxy-", "sec-", "webhook-", "x-aws-ec2-metadata-", "x-forwarded-", "x-penguinmails-",
)  # fmt: skip


def judge_headers(headers: Mapping[str, object]) -> tuple[tuple[str, str], ...] | Refusal:
    """
    Return a webhook's custom headers as they are sent, or why they cannot be sent.

    A refusal may contain the name of a header, never its value.
    """
    if len(headers) > MOST_HEADERS:
        return Refusal(f"there are more than {MOST_HEADERS} headers")
    if len({name.lower() for name in headers}) < len(headers):
        return Refusal("a header appears twice; upper and lower case are the same")
    judged = []
    for name, value in headers.items():
        reason = _reason_against(name, value)
        if reason is not None:
            return Refusal(reason)
        judged.append((name, str(value)))
    if sum(len(name) + len(value) + 4 for name, value in judged) > MOST_BYTES:
        return Refusal(f"the headers are larger than {MOST_BYTES // 1024} KiB in all")
    return tuple(judged)


def _reason_against(name: str, value: object) -> str | None:
    """Return why this header cannot be sent; None if it can."""
    if len(name) > LONGEST_NAME or not TOKEN.fullmatch(name):
        return f"{name[:LONGEST_NAME]!r} is not a valid header name"
    if "_" in name:
        return f"the name of the header {name} has an underscore, which servers read as a hyphen"
    if name.lower() in RESERVED or name.lower().startswith(RESERVED_FAMILIES):
        return f"the header {name} is reserved"
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return f"the value of the header {name} is longer than {LONGEST_VALUE} characters"
    if not isinstance(value, str) or not VALUE.fullmatch(value):
        return f"the value of the header {name} is not printable ASCII, or has spaces at its ends"
    if value.startswith(SEALED):
        return f"the value of the header {name} begins with {SEALED}, which marks sealed secrets"
    return None
