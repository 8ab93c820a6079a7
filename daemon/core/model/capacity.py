"""Where an installation stands against its limits."""

from daemon.core.model.value import value


@value(frozen=True, slots=True)
class Usage:
    """
    How much of something is used; `limit` is None where there is none.

    `unit` is "count", "bytes", "seconds" or "percent". `note` says what the limit means, or of what
    the figure is; it may be empty.
    """

    name: str
    used: float
    limit: float | None
    unit: str = "count"
    note: str = ""

    @property
    def share(self) -> float | None:
        """The used part of the limit; None without one."""
        return self.used / self.limit if self.limit else None
