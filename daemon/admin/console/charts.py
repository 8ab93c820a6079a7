"""Small charts as SVG: deliveries over time, and where the time of an attempt went."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

BAR, GAP, HEIGHT, LEAST = 4, 1, 24, 2
WIDE, PHASES = 600, ("lookup", "connect", "tls", "answer")


@dataclass(frozen=True, slots=True)
class Bar:
    """The attempts of one interval."""

    delivered: int
    failed: int

    @property
    def total(self) -> int:
        """All attempts."""
        return self.delivered + self.failed


def sparkline(bars: Sequence[Bar], *, label: str) -> Markup:
    """A bar for each interval, its failed part below; an interval without attempts is a line."""
    most = max((each.total for each in bars), default=0)
    shapes = [_bar(each, place * (BAR + GAP), most) for place, each in enumerate(bars)]
    width = max(len(bars) * (BAR + GAP) - GAP, BAR)
    return Markup(
        '<svg class="spark" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(width, HEIGHT, label, Markup("").join(shapes))


def timeline(bars: Sequence[Bar], *, label: str) -> Markup:
    """The same as wide as its place on the page."""
    most = max((each.total for each in bars), default=0)
    shapes = [_bar(each, place * (BAR + GAP), most) for place, each in enumerate(bars)]
    width = max(len(bars) * (BAR + GAP) - GAP, BAR)
    return Markup(
        '<svg class="spark timeline" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(width, HEIGHT, label, Markup("").join(shapes))


def _bar(bar: Bar, x: int, most: int) -> Markup:
    if bar.total == 0:
        return _rect("none", x, LEAST)
    height = max(LEAST, round(HEIGHT * bar.total / most))
    failed = max(LEAST, round(height * bar.failed / bar.total)) if bar.failed else 0
    whole = _rect("", x, height, above=failed) if height > failed else Markup("")
    return whole + (_rect("x", x, failed) if failed else Markup(""))


def _rect(css_class: str, x: int, height: int, *, above: int = 0) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        css_class, x, HEIGHT - height, BAR, height - above
    )


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
