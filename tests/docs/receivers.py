"""
Writes the code of each language into docs/receivers.md, from the files that the console shows.

`python -m tests.docs.receivers` fills each block that follows a comment such as
`<!-- python.signature -->`.
"""

import re

from daemon.admin.console.receiver_code import source
from tests.docs.sentences import ROOT

DOCUMENT = ROOT / "docs/receivers.md"
BLOCK = re.compile(
    r"<!-- (?P<name>\w+\.\w+) -->\n```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL
)


def places(text: str) -> list[str]:
    """The names of the blocks, in their order."""
    return [found["name"] for found in BLOCK.finditer(text)]


def filled(text: str) -> str:
    """The text with the present code in each block."""
    return BLOCK.sub(_block, text)


def _block(found: re.Match[str]) -> str:
    code = source(*found["name"].split("."))
    return f"<!-- {found['name']} -->\n```{found['language']}\n{code}```"


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
