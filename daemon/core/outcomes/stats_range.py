"""
The range of time that stats cover, and its points.

The rule: whatever range is asked for, a bounded number of rows is read for it: minutes of about a
day, or hours.
"""

from datetime import UTC, datetime, timedelta

from daemon.core.model.cursor import RESOLUTION
from daemon.core.model.stats import StatsRange

MOST_POINTS = 100
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# Of longer and of older ranges, hours are counted.
LONGEST_IN_MINUTES = timedelta(hours=25)
MINUTES_KEPT = timedelta(days=2)
HOURS_KEPT = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDTHS = (
    *(timedelta(minutes=each) for each in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=each) for each in (1, 2, 3, 4, 6, 8, 12)),
)


def stats_range(since: datetime | None, until: datetime | None, *, now: datetime) -> StatsRange:
    """
    Return what is covered when stats `since` and `until` these times are asked for.

    The default is the last 24 hours. What is not kept any more, and the future, are left out; the
    ends are moved outwards to whole minutes or hours. It is empty if `since` is not before `until`.
    """
    end = min(until or now, now)
    oldest = now - HOURS_KEPT
    if end <= oldest:
        return StatsRange(oldest, oldest, MINUTE, MINUTE, points=0)
    begin = max(since or end - timedelta(hours=24), oldest)
    in_minutes = end - begin <= LONGEST_IN_MINUTES and begin >= now - MINUTES_KEPT + HOUR
    unit = MINUTE if in_minutes else HOUR
    if begin >= end:
        begin = _floor(end, unit)
        return StatsRange(begin, begin, unit, unit, points=0)
    begin, end = _floor(begin, unit), _floor(end + unit - RESOLUTION, unit)
    length = end - begin
    width = next(each for each in _WIDTHS if each >= unit and length <= MOST_POINTS * each)
    return StatsRange(begin, end, unit, width, points=-(-length // width))


def last_day(now: datetime, *, hourly: bool = False) -> StatsRange:
    """Return the last 24 hours, moved outwards to whole hours: one point, or one for each hour."""
    begin, end = _floor(now - timedelta(hours=24), HOUR), _floor(now + HOUR, HOUR)
    if hourly:
        return StatsRange(begin, end, HOUR, HOUR, points=(end - begin) // HOUR)
    return StatsRange(begin, end, HOUR, end - begin, points=1)


def _floor(at: datetime, unit: timedelta) -> datetime:
    return at - (at - _EPOCH) % unit
