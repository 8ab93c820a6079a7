"""What people see: colours on a terminal alone, and no line that obeys a stranger."""

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

# C0 and C1 controls, what else ends a line, what turns the direction of text, lone surrogates.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """What came from outside, so that it cannot move the cursor or begin a line of its own."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Screen:
    """Stdout, line by line; each is out before the next thing happens."""

    def __init__(self) -> None:
        from rich.console import Console

        plain_output()
        self.console = Console(highlight=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        return self.console.is_terminal

    def show(self, line: "Text | str" = "", *, crop: bool = False) -> None:
        """
        Print one line as it is: markup is not read, and nothing but a terminal wraps it.

        With `crop` a terminal that is too narrow shows its beginning, so that columns stay columns.
        """
        if crop and self.is_terminal:
            self.console.print(line, soft_wrap=False, no_wrap=True, overflow="ellipsis")
        else:
            self.console.print(line, markup=False, emoji=False)
        self.console.file.flush()

    def title(self, line: str) -> None:
        self.show(self._styled(line, "bold"))

    def aside(self, line: str) -> None:
        self.show(self._styled(line, "dim"))

    def _styled(self, line: str, style: str) -> "Text":
        from rich.text import Text

        return Text(line, style=style)


def plain_output() -> None:
    """Let stdout spell what its encoding lacks, rather than fail."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
