"""
Which part of the inbox the next scan reads: what may have become visible since the last one.

The rule: no committed event is missed. Rows are ordered by the number of their transaction, and
that is not the order of commits: a row is new if its transaction began after the last snapshot, or
was still running in it. What other daemons took and did not finish is found by full scans.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.inbox_turns import InboxKey

LAST_XID = 2**63 - 1
LAST_TENANT = TenantId(UUID(int=2**128 - 1))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot: transactions from `xmax` on, and those in `running`, are invisible in it."""

    xmax: int
    running: tuple[int, ...]

    @classmethod
    def parse(cls, snapshot: str) -> "Snapshot":
        """Read `xmin:xmax:xip,xip`, as PostgreSQL prints a pg_snapshot."""
        _, xmax, running = snapshot.split(":")
        return cls(int(xmax), tuple(int(xid) for xid in running.split(",") if xid))


EMPTY_SNAPSHOT = Snapshot(xmax=0, running=())


@dataclass(frozen=True, slots=True)
class XidRange:
    """Places after `after`, of transactions up to number `last`."""

    after: InboxKey
    last: int = LAST_XID


def _from_xid(xid: int, last: int = LAST_XID) -> XidRange:
    return XidRange(InboxKey(xid - 1, LAST_TENANT), last)


class InboxScan:
    """The ranges of the next scan; each scan reads at most `keys_per_range` places in each."""

    def __init__(self, *, keys_per_range: int) -> None:
        self.keys_per_range = keys_per_range
        self._newest = _from_xid(1)  # from here on nothing has been read
        self._late: set[int] = set()  # transactions that were running when their place was read
        self._full: XidRange | None = None

    @property
    def full_scan_under_way(self) -> bool:
        """Whether a full scan has not come to its end yet."""
        return self._full is not None

    def begin_full_scan(self) -> None:
        """Read everything again, beside what is new."""
        self._full = _from_xid(1, last=self._newest.after.xid)

    def ranges(self) -> list[XidRange]:
        """What the next scan reads."""
        late = [_from_xid(xid, last=xid) for xid in sorted(self._late)]
        return [self._newest, *late, *([self._full] if self._full else [])]

    def completed(
        self,
        ranges: Sequence[XidRange],
        found: Iterable[tuple[int, InboxKey]],
        snapshot: Snapshot,
    ) -> bool:
        """
        Note what a scan of `ranges` found: places with the number of their range, in order.

        Returns whether everything new was read; otherwise the next scan goes on.
        """
        ends: dict[int, tuple[int, InboxKey]] = {}
        for number, key in found:
            ends[number] = (ends.get(number, (0, key))[0] + 1, key)
        unfinished = {
            number: key for number, (count, key) in ends.items() if count >= self.keys_per_range
        }
        read = {each.last for number, each in enumerate(ranges) if number not in unfinished}
        self._late = (self._late - read) | set(snapshot.running)
        if 0 in unfinished:
            self._newest = XidRange(unfinished[0])
        else:
            self._newest = _from_xid(snapshot.xmax)
        self._advance_full_scan(len(ranges) - 1, unfinished)
        return not unfinished

    def _advance_full_scan(self, number: int, unfinished: dict[int, InboxKey]) -> None:
        if self._full is None or number == 0:
            return
        if number in unfinished:
            self._full = replace(self._full, after=unfinished[number])
        else:
            self._full = None
