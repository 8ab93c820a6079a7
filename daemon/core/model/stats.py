"""How a webhook's attempts went, counted over time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class StatsRange:
    """
    What a webhook's stats cover: whole minutes or whole hours, in `points` of `width` each.

    `since` is inclusive, `until` is not.
    """

    since: datetime
    until: datetime
    unit: timedelta
    width: timedelta
    points: int


@dataclass(frozen=True, slots=True)
class StatsCounts:
    """Attempts by kind and by bucket of duration, each by position; none of durations is empty."""

    kinds: tuple[int, ...]
    buckets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CountedStats:
    """
    The counts of one webhook by the number of the point; points without attempts are missing.

    `complete` is False while more results wait to be counted than one query reads.
    """

    points: Mapping[int, StatsCounts]
    complete: bool
