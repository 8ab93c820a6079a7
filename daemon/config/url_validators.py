"""
Validators of settings that are URLs.

A URL that may hold a password is never quoted in a message, not even in part.
"""

import importlib.util
import re
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

ENCODING_HINT = (
    "in a user name or password write : / ? # [ ] @ % as %3A %2F %3F %23 %5B %5D %40 %25"
)

TRACE_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"

_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")


def secret_url(*schemes: str, needs_host: bool) -> AfterValidator:
    """Accept a URL with one of `schemes` that may hold a password."""
    accepted = " or ".join(f"{scheme}://" for scheme in schemes)

    def check(secret: SecretStr) -> SecretStr:
        url = secret.get_secret_value()
        if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must be a URL that begins with {accepted}")
        if re.search(r"[\x00-\x20\x7f]", url):
            raise ValueError("contains a space or control character; write a space as %20")
        hosts = _hosts(url)
        if needs_host and not all(hosts):
            raise ValueError("has no host")
        return secret

    return AfterValidator(check)


def mail_server(secret: SecretStr) -> SecretStr:
    """Accept an SMTP URL of exactly one host. Raises ValueError."""
    parts = urlsplit(secret.get_secret_value())
    if parts.path.strip("/") or parts.query or "," in parts.netloc:
        raise ValueError("must name one host, without a path or query")
    return secret


def page_url(url: str) -> str:
    """Return the URL of a page, without a trailing slash. Raises ValueError."""
    if not re.fullmatch(r"https?://[^\s/?#@\\\"'<>]+(/[^\s?#\\\"'<>]*)?", url):
        raise ValueError("must be a URL like https://hooks.example.com, without user, ? and #")
    return url.rstrip("/")


def traces_url(url: str) -> str:
    """Return the URL of a collector. Raises ValueError, also where spans cannot be sent."""
    if not _has_exporter():
        raise ValueError("needs the extra otel: pip install 'penguinmails-webhooks[otel]'")
    try:
        return page_url(url)
    except ValueError:
        raise ValueError(
            "must be a URL like http://127.0.0.1:4318/v1/traces, without user, ? and #"
        ) from None


def _has_exporter() -> bool:
    try:
        return importlib.util.find_spec(TRACE_EXPORTER) is not None
    except ModuleNotFoundError:
        return False


def page_origin(text: str) -> str:
    """Return the origin of web pages as browsers send it. Raises ValueError."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        raise ValueError(
            "must be an origin like https://app.example.com or http://localhost:3000: scheme, host"
            " and port, without a path or *; international names as xn--…"
        )
    port = match["port"]
    is_default = port is None or int(port) == {"https": 443, "http": 80}[match["scheme"]]
    return f"{match['scheme']}://{match['host']}" + ("" if is_default else f":{int(port)}")


def _hosts(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # Its message quotes the URL, including the password.
        raise ValueError(f"has a host that cannot be read ({ENCODING_HINT})") from None
    # An unencoded / ? or # ends the authority early and leaves the real @ behind it.
    split_early = "@" in parts.query and "@" not in parts.netloc
    if split_early or parts.fragment or "@" in parts.path:
        raise ValueError(f"has a # or @ after the host ({ENCODING_HINT})")
    found = [_HOST_AND_PORT.fullmatch(host) for host in parts.netloc.rpartition("@")[2].split(",")]
    for host in found:
        if host is None or not 0 < int(host["port"] or 1) < 65536:
            raise ValueError(f"has a port that is not a number from 1 to 65535 ({ENCODING_HINT})")
    return [host["host"] for host in found if host]
