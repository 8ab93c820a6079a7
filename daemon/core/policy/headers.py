"""
May a customer add this header to our requests: RFC 9110's grammar, and the names that are ours.

Basic authentication and bearer tokens are such headers too: `Authorization` is not reserved.
"""

import re
from collections.abc import Mapping

from daemon.core.policy.refusal import Refusal

MOST_HEADERS = 32
LONGEST_NAME = 128
LONGEST_VALUE = 4096
MOST_BYTES = 16 * 1024  # servers' own limits on a request's head begin at 8 to 32 KiB

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
# Section 5.5 without obs-text: visible ASCII, blanks only inside. Empty is allowed there and here.
VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")

SEALED = "sealed:"  # what is stored so would be opened, not sent

RESERVED = frozenset(
    {
        # What frames the message or rules the connection: a second one would split or smuggle.
        "connection", "content-encoding", "content-length", "content-type", "expect", "host",
        "http2-settings", "keep-alive", "max-forwards", "te", "trailer", "transfer-encoding",
        "upgrade", "via",
        # What says how to answer, or who we are.
        "accept-encoding", "content-range", "range", "user-agent",
        # What speaks for another caller, or over the receiver's own rewriting.
        "forwarded", "x-real-ip", "x-http-method", "x-http-method-override", "x-method-override",
        "x-original-url", "x-rewrite-url",
        # What clouds' metadata services ask for: were one ever reached, it should not answer.
        "metadata", "metadata-flavor", "x-metadata-token",
    }
)  # fmt: skip
RESERVED_FAMILIES = (
    "proxy-", "sec-", "webhook-", "x-aws-ec2-metadata-", "x-forwarded-", "x-penguinmails-",
)  # fmt: skip


def judge_headers(headers: Mapping[str, object]) -> tuple[tuple[str, str], ...] | Refusal:
    """
    A webhook's own headers, ready for the wire, or why they cannot be sent.

    A refusal may name a header, never its value.
    """
    if len(headers) > MOST_HEADERS:
        return Refusal(f"there are more than {MOST_HEADERS} headers")
    if len({name.lower() for name in headers}) < len(headers):
        return Refusal("a header is there twice: upper and lower case are the same")
    judged = []
    for name, value in headers.items():
        reason = header_refusal(name, value)
        if reason is not None:
            return Refusal(reason)
        judged.append((name, str(value)))
    if sum(len(name) + len(value) + 4 for name, value in judged) > MOST_BYTES:
        return Refusal(f"the headers take more than {MOST_BYTES // 1024} KiB together")
    return tuple(judged)


def header_refusal(name: str, value: object) -> str | None:
    """The reason for which this one header cannot be sent, or None."""
    if len(name) > LONGEST_NAME or not TOKEN.fullmatch(name):
        return f"{name[:LONGEST_NAME]!r} is not a header's name"
    if name.lower() in RESERVED or name.lower().startswith(RESERVED_FAMILIES):
        return f"the header {name} is reserved"
    if not isinstance(value, str) or not VALUE.fullmatch(value):
        return f"the value of the header {name} is not printable ASCII without blanks at its ends"
    if value.startswith(SEALED):
        return f"the value of the header {name} begins with {SEALED}, as only sealed secrets do"
    if len(value) > LONGEST_VALUE:
        return f"the value of the header {name} is longer than {LONGEST_VALUE} characters"
    return None
