"""Small charts as SVG: deliveries over time, and where the time of an attempt went."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from markupsafe import Markup

BAR, GAP, HEIGHT, LEAST = 4, 1, 24, 2
WIDE, PHASES = 600, ("lookup", "connect", "tls", "answer")


class Bar(Protocol):
    """The attempts of one interval."""

    @property
    def delivered(self) -> int:
        """Those that succeeded."""

    @property
    def failed(self) -> int:
        """Those that did not."""


class TimedBar(Bar, Protocol):
    """The attempts of the interval that begins at a time."""

    @property
    def at(self) -> datetime:
        """When it begins."""


def _total(bar: Bar) -> int:
    return bar.delivered + bar.failed


def sparkline(bars: Sequence[Bar], *, label: str) -> Markup:
    """A bar for each interval, its failed part below; an interval without attempts is a line."""
    most = max(map(_total, bars), default=0)
    paths: dict[str, str] = {"none": "", "": "", "x": ""}
    for place, each in enumerate(bars):
        for css_class, above, height in _parts(each, most):
            x, y = place * (BAR + GAP), HEIGHT - above - height
            paths[css_class] += f"M{x} {y}h{BAR}v{height}h-{BAR}z"
    width = max(len(bars) * (BAR + GAP) - GAP, BAR)
    return Markup(
        '<svg class="spark" width="{}" height="{}" role="img" aria-label="{}">'
        '<path class="none" d="{}"/><path d="{}"/><path class="x" d="{}"/></svg>'
    ).format(width, HEIGHT, label, *paths.values())


def _parts(bar: Bar, most: int) -> list[tuple[str, int, int]]:
    """The parts of a bar: the class, how far above the ground, and the height."""
    total = _total(bar)
    if total == 0:
        return [("none", 0, LEAST)]
    height = max(LEAST, round(HEIGHT * total / most))
    failed = max(LEAST, round(height * bar.failed / total)) if bar.failed else 0
    parts = [("", failed, height - failed), ("x", 0, failed)]
    return [each for each in parts if each[2] > 0]


def _bar(bar: Bar, x: int, most: int) -> Markup:
    # Numbers and constants: hundreds of a page, and Markup.format takes three times as long.
    return Markup(  # noqa: S704
        "".join(
            f'<rect class="{css_class}" x="{x}" y="{HEIGHT - above - height}" width="{BAR}"'
            f' height="{height}"/>'
            for css_class, above, height in _parts(bar, most)
        )
    )


def timeline(bars: Sequence[TimedBar], *, label: str) -> Markup:
    """The same as wide as its place on the page, each bar with its numbers in a tooltip."""
    most = max(map(_total, bars), default=0)
    shapes = [
        Markup("<g>{}<title>{} UTC: {} delivered, {} failed</title></g>").format(
            _bar(each, place * (BAR + GAP), most),
            each.at.strftime("%b %d, %H:%M"),
            each.delivered,
            each.failed,
        )
        for place, each in enumerate(bars)
    ]
    return Markup(
        '<svg class="spark timeline" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(max(len(bars) * (BAR + GAP) - GAP, BAR), HEIGHT, label, Markup("").join(shapes))


def progress_bar(*, total: int, delivered: int, failed: int, sent: int) -> Markup:
    """How far a replay has come: what was delivered, what was given up, what else was sent."""
    whole = total or 1
    waiting = max(0, min(sent, whole) - delivered - failed)
    shapes, x = [], 0.0
    for name, part in (("done", delivered), ("x", failed), ("sent", waiting)):
        width = 100 * min(part, whole) / whole
        shapes.append(
            Markup('<rect class="{}" x="{:.2f}" width="{:.2f}" height="8"/>').format(name, x, width)
        )
        x += width
    return Markup(
        '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(Markup("").join(shapes))


def timing_bar(phases: dict[str, int | None]) -> Markup:
    """The milliseconds of each phase that happened, as parts of one bar."""
    known = [(name, phases.get(name) or 0) for name in PHASES if phases.get(name) is not None]
    total = sum(took for _, took in known) or 1
    shapes, x = [], 0.0
    for name, took in known:
        width = WIDE * took / total
        shapes.append(
            Markup('<rect class="{}" x="{:.1f}" width="{:.1f}" height="12"/>').format(
                name, x, width
            )
        )
        x += width
    label = ", ".join(f"{name} {took} ms" for name, took in known)
    return Markup(
        '<svg class="phases" viewBox="0 0 {} 12" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(WIDE, label, Markup("").join(shapes))
