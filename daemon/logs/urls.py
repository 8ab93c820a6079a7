"""Remove the secret parts of URLs: user, password, query and fragment."""

import re

from daemon.core.model.secrets import HIDDEN

# The scheme's length is bounded: otherwise a long word costs the square of its length.
_URL = re.compile(r"""([a-z0-9+.-]{0,30})://([^\s"'<>\\]*)""", re.IGNORECASE)
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::[0-9]*)?")
_AFTER_AUTHORITY = re.compile(r"[/?#]")
_AFTER_PATH = re.compile(r"[?#]")


def without_secrets(text: str) -> str:
    """Remove user, password, query and fragment from every URL in `text`."""
    return _URL.sub(_redact, text) if "://" in text else text


def without_query(url: str) -> str:
    """Redact a URL that may lack its scheme, such as a path."""
    return _AFTER_PATH.split(without_secrets(url), maxsplit=1)[0]


def _redact(url: re.Match[str]) -> str:
    scheme, rest = url.groups()
    authority = _AFTER_AUTHORITY.split(rest, maxsplit=1)[0]
    after_authority = rest[len(authority) :]
    hosts = authority.rpartition("@")[2]
    # With an unencoded / ? # or @ in it, a part of the password looks like a host or a path.
    malformed = not all(map(_HOST.fullmatch, hosts.split(",")))
    if malformed or ("@" in after_authority and not scheme.lower().startswith("http")):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{hosts}{_AFTER_PATH.split(after_authority, maxsplit=1)[0]}"
