"""The host of a URL, for what is shown of it: nothing else of a customer's URL is."""

from functools import lru_cache
from urllib.parse import urlsplit

from daemon.core.unprintable import escape

URLS_REMEMBERED = 4096
LONGEST_HOST = 253  # of a name in DNS


@lru_cache(URLS_REMEMBERED)
def host_of(url: str) -> str | None:
    """Return the host in lower case, without user and port; None if the URL has none."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return escape(host[:LONGEST_HOST]) if host else None
