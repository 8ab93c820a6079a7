"""Where a setting was written."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A file with a line (from 1; 0: not known), an environment variable or a credential file."""

    name: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name

    def sort_key(self) -> tuple[bool, int]:
        """Order mistakes as an operator fixes them: down the file, then the other sources."""
        return (not self.line, self.line)
