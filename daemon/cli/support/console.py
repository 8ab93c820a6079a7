"""
Terminal output: colours only on a terminal, one flushed line at a time.

The rule: text from outside never reaches a terminal before `core.unprintable` has escaped it.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class Screen:
    """Stdout, flushed after each line."""

    def __init__(self) -> None:
        from rich.console import Console

        plain_output()
        self.console = Console(highlight=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return self.console.is_terminal

    def show(self, line: "Text | str" = "", *, crop: bool = False) -> None:
        """
        Print one line as it is: markup is not interpreted, and only a terminal wraps it.

        With `crop`, a narrow terminal cuts the line off, so that columns stay aligned.
        """
        if crop and self.is_terminal:
            self.console.print(line, soft_wrap=False, no_wrap=True, overflow="ellipsis")
        else:
            self.console.print(line, markup=False, emoji=False)
        self.console.file.flush()

    def title(self, line: str) -> None:
        """Print a line in bold."""
        self.show(self._styled(line, "bold"))

    def aside(self, line: str) -> None:
        """Print a dimmed line."""
        self.show(self._styled(line, "dim"))

    def _styled(self, line: str, style: str) -> "Text":
        from rich.text import Text

        return Text(line, style=style)


def stderr_console() -> "Console":
    """A console on stderr for progress displays, which show themselves only on a terminal."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


def plain_output() -> None:
    """Let stdout escape characters that its encoding lacks, instead of failing."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
