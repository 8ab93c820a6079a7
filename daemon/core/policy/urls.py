"""
Which URLs may be called: those that lead to the public internet in an unambiguous spelling.

A URL is judged when it is saved and again before every attempt. Its text is judged here; the
addresses that its host resolves to are judged at connect (see `addresses`).
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.hosts import judge_host
from daemon.core.policy.refusal import Refusal

LONGEST_URL = 2048  # characters

URL_PARTS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\[\]/?#]*\]|[^\[\]/?#:]*)(?::(?P<port>[^/?#]*))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
    re.IGNORECASE | re.ASCII,  # without ASCII, a Unicode look-alike matches the s of https
)
PATH_SAFE = "/!$&'()*+,;=:@%-._~?[]|^`{}\""
INVALID_PORT = Refusal("the URL's port is not a number from 1 to 65535")


@dataclass(frozen=True, slots=True)
class Target:
    """
    A URL that may be called, split into the parts that a request needs.

    `host` is ASCII (IDNA applied, no brackets), `host_header` is the value of `Host`, `path` is the
    request target that follows the method in the request line.
    """

    tls: bool
    host: str
    port: int
    host_header: str
    path: str


def judge_url(url: str, policy: EgressPolicy) -> Target | Refusal:
    """Return the target of `url`, or why it may not be called."""
    if len(url) > LONGEST_URL:
        return Refusal(f"the URL is longer than {LONGEST_URL} characters")
    if any(map(_is_forbidden, url)):
        return Refusal("the URL must not contain white space, backslashes or control characters")
    if "#" in url:
        return Refusal("the URL must not contain a fragment; write # as %23")
    parts = URL_PARTS.fullmatch(url)
    if parts is None:
        return Refusal("the URL is not of the form https://host/path")
    tls = parts["scheme"].lower() == "https"
    if not tls and not policy.allow_http:
        return Refusal("the URL must begin with https://")
    if "@" in parts["host"] or "@" in (parts["port"] or ""):
        return Refusal(
            "the URL must not contain a user name or password; use an Authorization header"
        )
    default_port = 443 if tls else 80
    port = _judge_port(parts["port"], default_port, allowed=policy.allow_ports)
    if isinstance(port, Refusal):
        return port
    host = judge_host(parts["host"], policy)
    if isinstance(host, Refusal):
        return host
    bracketed = f"[{host}]" if ":" in host else host
    return Target(
        tls=tls,
        host=host,
        port=port,
        host_header=bracketed if port == default_port else f"{bracketed}:{port}",
        path=quote((parts["path"] or "/") + (parts["query"] or ""), safe=PATH_SAFE),
    )


def _is_forbidden(character: str) -> bool:
    return (
        character <= " "
        or character in "\\\x7f"
        or character.isspace()
        or unicodedata.category(character) in {"Cc", "Cs"}
    )


def _judge_port(
    text: str | None, default: int, *, allowed: Sequence[tuple[int, int]]
) -> int | Refusal:
    if text is not None and not re.fullmatch(r"[0-9]{1,5}", text):
        return INVALID_PORT
    port = default if text is None else int(text)
    if not 0 < port < 65536:
        return INVALID_PORT
    if not any(low <= port <= high for low, high in allowed):
        return Refusal(f"port {port} is not allowed; allowed: {_printed(allowed)}")
    return port


def _printed(ports: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ports)
