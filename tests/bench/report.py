"""A finished run: its figures as a table and as JSON."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.measures import MEASURES
from tests.bench.results import Results, Series
from tests.bench.targets import Judged, judge
from tests.bench.workloads import WORKLOADS

LABEL_WIDTH = 56
WIDTH = 16
VERDICTS = {True: "reached", False: "MISSED", None: "not measured"}


@dataclass(frozen=True, slots=True)
class Report:
    """
    A run.

    `subject` is this checkout's daemon, `other` the revision that it is compared with. `statements`
    and `problems` are those of `Bench`.
    """

    machine: dict[str, str]
    results: Results
    subject: str
    other: str | None
    statements: dict[str, dict[str, float]]
    problems: Sequence[str]

    def table(self) -> Iterator[str]:
        """Yield the lines of the table: medians, with what they are to reach."""
        yield from (f"{name + ':':<14}{value}" for name, value in self.machine.items())
        judged = judge(self.results, subject=self.subject, other=self.other)
        for workload in self.results.workloads():
            yield f"\n{workload}: {WORKLOADS[workload].description}"
            yield from self._workload(workload, judged)
        for problem in self.problems:
            yield f"\nPROBLEM: {problem}"

    def as_json(self) -> dict[str, Any]:
        """Return everything as values that JSON has; a figure that is infinite becomes null."""
        judged = judge(self.results, subject=self.subject, other=self.other)
        return {
            "machine": self.machine,
            "workloads": {
                workload: {
                    "description": WORKLOADS[workload].description,
                    "subjects": {
                        subject: self._figures(workload, subject)
                        for subject in self.results.subjects(workload)
                    },
                }
                for workload in self.results.workloads()
            },
            "targets": [
                {
                    "workload": each.target.workload,
                    "figure": each.target.figure,
                    "target": str(each.target),
                    "value": _finite(each.value),
                    "reached": each.reached,
                }
                for each in judged
            ],
            "statements": self.statements,
            "problems": list(self.problems),
        }

    def _workload(self, workload: str, judged: Sequence[Judged]) -> Iterator[str]:
        subjects = self.results.subjects(workload)
        compared = [f"/ {self.other}"] if self.other in subjects else []
        headings = "".join(f"{each:>{WIDTH + 2}}" for each in [*subjects, *compared])
        yield f"{'':{LABEL_WIDTH}}{headings}   target"
        for figure, measure in MEASURES.items():
            medians = [self.results.median(workload, each, figure) for each in subjects]
            if all(median is None for median in medians):
                continue
            cells = [_number(median, measure.places) for median in medians]
            if compared and self.other is not None:
                ratio = self.results.ratio(workload, figure, (self.subject, self.other))
                cells.append(_number(ratio, 2))
            row = "".join(f"{cell:>{WIDTH + 2}}" for cell in cells)
            verdicts = ", ".join(_verdict(each) for each in _of(judged, workload, figure))
            yield f"{measure.label:<{LABEL_WIDTH}}{row}   {verdicts}".rstrip()

    def _figures(self, workload: str, subject: str) -> dict[str, Any]:
        found = {}
        for figure, measure in MEASURES.items():
            if values := self.results.values.get(Series(workload, subject, figure)):
                found[figure] = {
                    "label": measure.label.strip(),
                    "median": _finite(statistics.median(values)),
                    "rounds": [_finite(value) for value in values],
                }
        return found


def _of(judged: Sequence[Judged], workload: str, figure: str) -> Iterator[Judged]:
    for each in judged:
        if (each.target.workload, each.target.figure) == (workload, figure):
            yield each


def _verdict(judged: Judged) -> str:
    return f"{judged.target}: {VERDICTS[judged.reached]}"


def _number(value: float | None, places: int) -> str:
    if value is None:
        return ""
    return f"{value:,.{places}f}" if math.isfinite(value) else "never"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
