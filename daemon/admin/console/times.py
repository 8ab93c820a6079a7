"""Times and durations as people read them; the exact time is in the element, for the tooltip."""

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
TIME = Markup('<time datetime="{exact}" title="{shown} UTC">{text}</time>')


def relative(at: datetime, *, now: datetime) -> Markup:
    """`3 m ago` or `in 3 m`; the page's script keeps it up to date."""
    seconds = (now - at).total_seconds()
    text = _ago(seconds) if seconds > -1 else f"in {span(timedelta(seconds=-seconds))}"
    return Markup('<time class="rel" datetime="{}" title="{} UTC">{}</time>').format(
        exact(at), _shown(at), text
    )


def due(at: datetime, *, now: datetime) -> Markup:
    """`in 3 m`, or `now` from that time on: when something is to be done."""
    text = f"in {span(at - now)}" if at > now else "now"
    return Markup('<time class="rel due" datetime="{}" title="{} UTC">{}</time>').format(
        exact(at), _shown(at), text
    )


def clock(at: datetime, *, now: datetime) -> Markup:
    """The time of day; with the date unless it is today's, and the year unless it is this one."""
    at, today = at.astimezone(UTC), now.astimezone(UTC).date()
    date = (
        "" if at.date() == today else f"{at:%b %d}" if at.year == today.year else f"{at:%Y-%m-%d}"
    )
    text = f"{date}, {at:%H:%M:%S}".removeprefix(", ")
    return TIME.format(exact=exact(at), shown=_shown(at), text=text)


def moment(at: datetime) -> Markup:
    """The whole date and time."""
    return TIME.format(exact=exact(at), shown=_shown(at), text=_shown(at))


def span(length: timedelta) -> str:
    """A duration by its two largest units, such as `1 h 5 m`; `0 s` for less than a second."""
    rest = round(length.total_seconds())
    parts: list[str] = []
    for seconds, unit in UNITS:
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def seconds(count: float) -> str:
    """The same of a number of seconds."""
    return span(timedelta(seconds=count))


def milliseconds(count: int | None) -> str:
    """`142 ms`, `4.9 s`, `<1 ms` for less; a dash for None."""
    if count is None:
        return "—"
    if count == 0:
        return "<1 ms"
    return f"{count} ms" if count < 1000 else f"{count / 1000:.1f} s"


def _ago(seconds: float) -> str:
    if seconds < 1:
        return "now"
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "now"


def exact(at: datetime) -> str:
    """The time in UTC as RFC 3339 has it, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
