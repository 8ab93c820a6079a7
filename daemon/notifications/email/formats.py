"""Values as an email shows them."""

import re
from datetime import datetime
from urllib.parse import quote

from daemon.logs import one_line

_AFTER_PATH = re.compile(r"[?#]")
_NOT_ALLOWED_IN_URLS = re.compile(r"""[\s"'<>\\]""")


def time_text(at: datetime) -> str:
    """`2025-11-25 14:30:00 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def url_text(url: str) -> str:
    """A customer's URL up to its path, without a user; characters not allowed there are encoded."""
    up_to_path = _AFTER_PATH.split(url, maxsplit=1)[0]
    return one_line(_NOT_ALLOWED_IN_URLS.sub(lambda found: quote(found[0]), up_to_path))
