"""How far an erasure, or a count of what one would erase, has come."""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.core.model.erasure import ErasureCounts


@dataclass(frozen=True, slots=True)
class Progress:
    """The number of rows read so far, and the rows found or erased among them."""

    rows_read: int
    counts: ErasureCounts


def ignore_progress(_: Progress) -> None:
    """The default for `on_progress`."""


class RunningCounts:
    """Adds up; `on_progress` is called after each addition."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self.counts = ErasureCounts()
        self._rows_read = 0
        self._on_progress = on_progress

    def add(self, counts: ErasureCounts) -> None:
        """Add rows that were found or erased."""
        self.counts += counts
        self._report()

    def add_rows_read(self, rows: int) -> None:
        """Add rows that were read."""
        self._rows_read += rows
        self._report()

    def _report(self) -> None:
        self._on_progress(Progress(self._rows_read, self.counts))
