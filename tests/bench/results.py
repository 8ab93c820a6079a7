"""The figures of all rounds: medians, and what follows from several of them."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.bench import Figures


@dataclass(frozen=True, slots=True)
class Series:
    """The name of a series of values, one for each round."""

    workload: str
    subject: str
    figure: str


@dataclass(slots=True)
class Results:
    """Values in the order of the rounds; passes that only count have one value."""

    values: dict[Series, list[float]] = field(default_factory=dict)

    def add(self, workload: str, subject: str, figures: Figures) -> None:
        """Add what a subject's round gave."""
        for figure, value in figures.items():
            self.values.setdefault(Series(workload, subject, figure), []).append(value)

    def combine(self, target: Series, function: Callable[..., float], *sources: Series) -> None:
        """
        Set a series by a function of others, round by round.

        A series of one value counts for every round. Nothing is set if one has no values, or if a
        round of one failed.
        """
        columns = [self.values.get(source, []) for source in sources]
        rounds = max(map(len, columns))
        columns = [column * rounds if len(column) == 1 else column for column in columns]
        if all(len(column) == rounds for column in columns) and rounds:
            self.values[target] = [function(*row) for row in zip(*columns, strict=True)]

    def median(self, workload: str, subject: str, figure: str) -> float | None:
        """Return the median of all rounds, None if nothing was measured."""
        values = self.values.get(Series(workload, subject, figure))
        return statistics.median(values) if values else None

    def ratio(self, workload: str, figure: str, subjects: tuple[str, str]) -> float | None:
        """Return the median of a figure's ratio of two subjects, taken round by round."""
        ratio = Series(workload, " / ".join(subjects), figure)
        self.combine(ratio, quotient, *(Series(workload, each, figure) for each in subjects))
        value = self.median(*(ratio.workload, ratio.subject, ratio.figure))
        self.values.pop(ratio, None)
        return value

    def workloads(self) -> list[str]:
        """Return the names of the workloads, in the order in which they were measured."""
        return list(dict.fromkeys(series.workload for series in self.values))

    def subjects(self, workload: str) -> list[str]:
        """Return the subjects of a workload."""
        found = (series.subject for series in self.values if series.workload == workload)
        return list(dict.fromkeys(found))


def quotient(dividend: float, divisor: float) -> float:
    """Return the quotient; infinite if the divisor is zero, 1 if both are equal."""
    if dividend == divisor:
        return 1.0
    return dividend / divisor if divisor else float("inf")
