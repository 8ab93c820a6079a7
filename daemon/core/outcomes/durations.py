"""
Durations of attempts, counted in buckets from which percentiles are estimated.

The rule: buckets grow by the fourth root of two, so that an estimate, which lies in the bucket of
the true percentile, differs from it by less than a fifth.
"""

from bisect import bisect_left
from collections.abc import Sequence

LONGEST_MS = 2**15  # longer ones count as this: no attempt may take over 30 seconds
# The upper bounds of the buckets, inclusive, in whole milliseconds; the first one begins at 0.
# A bucket's position is stored in the database: never change these.
BOUNDS_MS = tuple(sorted({round(2 ** (n / 4)) for n in range(15 * 4 + 1)}))


def duration_bucket(took_ms: int) -> int:
    """Return the position in BOUNDS_MS of the bucket that counts this duration."""
    return bisect_left(BOUNDS_MS, min(took_ms, LONGEST_MS))


def percentile_ms(counts: Sequence[int], fraction: float) -> int | None:
    """
    Estimate the duration in milliseconds that this `fraction` of attempts did not exceed.

    `counts` has how many attempts each bucket has, by position; buckets at the end may be missing.
    Returns None if there are no attempts. Within a bucket they count as evenly distributed.
    """
    rank = fraction * sum(counts)
    if rank <= 0:
        return None
    below = 0
    for bucket, count in enumerate(counts):
        if count and below + count >= rank:
            upper = BOUNDS_MS[bucket]
            lower = BOUNDS_MS[bucket - 1] if bucket else 0
            # The middle of the places that `count` attempts have in the bucket.
            place = max(rank - below - 0.5, 0.5) / count
            return min(upper, lower + 1 + int((upper - lower) * place))
        below += count
    raise AssertionError("the sum of counts is at least the rank")
