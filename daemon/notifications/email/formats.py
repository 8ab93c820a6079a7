"""Values as an email shows them."""

import re
from datetime import datetime
from urllib.parse import quote

from daemon.logs import one_line

LONGEST_NAME = 80
LONGEST_ERROR = 300

_AFTER_PATH = re.compile(r"[?#]")
_NOT_ALLOWED_IN_URLS = re.compile(r"""[\s"'<>\\]""")

# Invisible, or reorders text. The joiners between letters that need them, and emoji, are kept.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
# Mail programs make links of these: `http:`, `example.com`, `1.2.3.4` and `ops@example.com`. A dot
# may also be one of those that browsers accept in its place.
_LINK = re.compile(
    r"[a-z][a-z0-9+-]{1,30}:(?=\S)"
    "|(?<=\\w)[.\u2024\u3002\ufe52\uff0e\uff61](?=[^\\W\\d])"
    "|(?<=[0-9])[.](?=[0-9]{1,3}[.][0-9]{1,3}[.][0-9])|(?<=\\S)@(?=\\S)",
    re.IGNORECASE,
)


def time_text(at: datetime) -> str:
    """`2025-11-25 14:30:00 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def url_text(url: str) -> str:
    """A customer's URL up to its path, without a user; characters not allowed there are encoded."""
    up_to_path = _AFTER_PATH.split(url, maxsplit=1)[0]
    return one_line(_NOT_ALLOWED_IN_URLS.sub(lambda found: quote(found[0]), up_to_path))


def name_text(name: str) -> str:
    """A customer's name as one line of bounded length that no mail program makes a link of."""
    return _without_links(name, longest=LONGEST_NAME)


def error_text(error: str) -> str:
    """An error, which may have a receiver's words, in the same way."""
    return _without_links(error, longest=LONGEST_ERROR)


def _without_links(text: str, *, longest: int) -> str:
    """Insert a blank where a link is recognised; `one_line` has removed queries and passwords."""
    visible = _INVISIBLE.sub("", one_line(text, longest=4 * longest))
    return one_line(_LINK.sub(lambda found: f"{found[0]} ", visible), longest=longest)
