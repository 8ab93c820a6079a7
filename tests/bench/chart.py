"""The figures as bars, in SVG."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from tests.bench.derived import BESIDE
from tests.bench.measures import MEASURES
from tests.bench.report import Report

WIDTH, LABEL_WIDTH, VALUE_WIDTH, MARGIN = 900, 260, 90, 20
BAR, GAP, TITLE = 16, 6, 34
OWN, OTHER, BASELINE = "#2f6db3", "#c77d2e", "#98a2ad"
PALE = "fill-opacity='0.45'"
FONT = "font-family='system-ui, sans-serif' font-size='12'"


@dataclass(frozen=True, slots=True)
class Panel:
    """A title, the figures that are stacked in each bar, and the workloads with their subjects."""

    title: str
    figures: tuple[str, ...]
    workloads: tuple[str, ...]


PANELS = (
    Panel(
        "Deliveries per second",
        ("rate",),
        ("rate", "tls", "bursts", "fan-out", "payload", "daemons-2", "daemons-4"),
    ),
    Panel(
        "CPU per delivery in µs: daemon or bare loop, then PostgreSQL (pale)",
        ("daemon_us", "postgres_us"),
        ("rate", "tls", "bursts", "fan-out", "payload", "paced-50", "paced-500"),
    ),
    Panel("Commit to receipt in ms, median", ("p50_ms",), ("paced-50", "paced-500")),
    Panel("Commit to receipt in ms, p99", ("p99_ms",), ("paced-50", "paced-500")),
    Panel("Live events, p99 in ms, alone and beside loads", ("p99_ms",), ("alone", *BESIDE)),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A labelled bar of one part for each figure; infinite if something never arrived."""

    label: str
    colour: str
    parts: tuple[float, ...]

    @property
    def total(self) -> float:
        """The length of the bar."""
        return sum(self.parts)


def svg(report: Report) -> str:
    """Return the chart: one panel below the other, without those that have no figures."""
    drawn: list[str] = []
    y = MARGIN + TITLE
    machine = report.machine
    caption = (
        f"{machine['commit']}, {machine['date'][:10]}, Python {machine['Python']}, PostgreSQL"
        f" {machine['PostgreSQL']}, {machine['processors']}"
    )
    drawn.append(_text(MARGIN, MARGIN + 12, caption))
    for panel in PANELS:
        if bars := list(_bars(report, panel)):
            drawn += _panel(panel, bars, y)
            y += TITLE + len(bars) * (BAR + GAP) + GAP
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {y}' {FONT}>"
    return "\n".join(
        [head, f"<rect width='{WIDTH}' height='{y}' fill='#fff'/>", *drawn, "</svg>\n"]
    )


def _bars(report: Report, panel: Panel) -> Iterator[Bar]:
    for workload in panel.workloads:
        for subject in report.results.subjects(workload):
            medians = [report.results.median(workload, subject, figure) for figure in panel.figures]
            if parts := tuple(value for value in medians if value is not None):
                yield Bar(f"{workload}: {subject}", _colour(report, subject), parts)


def _colour(report: Report, subject: str) -> str:
    if subject == report.subject:
        return OWN
    return OTHER if subject == report.other else BASELINE


def _panel(panel: Panel, bars: list[Bar], y: int) -> Iterator[str]:
    yield _text(MARGIN, y + 16, panel.title, attributes="font-weight='bold'")
    y += TITLE - 8
    longest = max((bar.total for bar in bars if math.isfinite(bar.total)), default=0.0) or 1.0
    room = WIDTH - LABEL_WIDTH - VALUE_WIDTH - MARGIN
    places = MEASURES[panel.figures[0]].places
    for bar in bars:
        yield _text(LABEL_WIDTH - 8, y + 12, bar.label, attributes="text-anchor='end'")
        x = float(LABEL_WIDTH)
        for number, value in enumerate(bar.parts):
            width = room * min(1.0, value / longest)
            size = f"width='{width:.1f}' height='{BAR}'"
            yield f"<rect x='{x:.1f}' y='{y}' {size} fill='{bar.colour}' {PALE if number else ''}/>"
            x += width
        total = f"{bar.total:,.{places}f}" if math.isfinite(bar.total) else "never"
        yield _text(x + 6, y + 12, total)
        y += BAR + GAP


def _text(x: float, y: float, text: str, *, attributes: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y}' fill='#222' {attributes}>{escape(text)}</text>"
