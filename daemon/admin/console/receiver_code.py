"""
The code that verifies deliveries, in each language, as the documentation has it too.

The rule: it is written once, in files that tests run; a page only puts in what is the webhook's.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

FOLDER = "templates/receivers"
LANGUAGES = (
    ("node", "Node.js"),
    ("typescript", "TypeScript"),
    ("python", "Python"),
    ("go", "Go"),
    ("php", "PHP"),
    ("ruby", "Ruby"),
    ("java", "Java"),
    ("csharp", "C#"),
    ("rust", "Rust"),
    ("shell", "Shell"),
)
SCHEMES = (
    ("signature", "X-PenguinMails-Signature"),
    ("standard", "Standard Webhooks"),
)
SAMPLE_PATH = "/webhooks/penguinmails"
# With a path of which every character means itself in a text of each language.
PLAIN_URL = re.compile(
    r"https?://(?:\[[\da-f:.]+\])?[^\[\]/?#\s]*(?P<path>/[\w./~%:@+,;=!&()*-]*)?(?:\?.*)?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ReceiverCode:
    """The code of one language for one way of signing; `id` names it within a page."""

    id: str
    language: str
    scheme: str
    text: str


def receiver_code(url: str) -> list[ReceiverCode]:
    """The code for a webhook with this URL."""
    # The application may have stored any text.
    parts = PLAIN_URL.fullmatch(url)
    path = SAMPLE_PATH if parts is None else parts["path"] or "/"
    return [
        ReceiverCode(
            f"{language}-{scheme}", shown, way, source(language, scheme).replace(SAMPLE_PATH, path)
        )
        for language, shown in LANGUAGES
        for scheme, way in SCHEMES
    ]


@cache
def source(language: str, scheme: str) -> str:
    """The file of a language and a way of signing."""
    return (files("daemon.admin") / FOLDER / f"{language}.{scheme}.txt").read_text()
