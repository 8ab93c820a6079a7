"""
Which part of the inbox the next scan reads: what may have become visible since the last one.

The rule: no committed event is missed. Rows are ordered by the number of their transaction, and
that is not the order of commits: a row is new if its transaction began after the last snapshot, or
was still running in it. Where one scan does not read all of that, later scans read the rest beside
what is newer. What other daemons took and did not finish is found by full scans.

The rows of a running transaction are not worth reading: they are invisible, and a scan that passes
a million of them takes a second each time.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.inbox_turns import InboxKey

LAST_XID = 2**63 - 1
PIECES_AT_ONCE = 8  # of what was found before; each has as many places as another range
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


def _without(whole: XidRange, running: Iterable[int]) -> list[XidRange]:
    """The parts of a range between the transactions that are running."""
    parts: list[XidRange] = []
    rest = whole
    for xid in sorted(running):
        if whole.after < InboxKey(xid, LAST_TENANT) and xid <= whole.last:
            parts.append(replace(rest, last=xid - 1))
            rest = _from_xid(xid + 1, last=whole.last)
    return [each for each in (*parts, rest) if each.after < InboxKey(each.last, LAST_TENANT)]


class InboxScan:
    """The ranges of the next scan; each scan reads at most `keys_per_range` places in each."""

    def __init__(self, *, keys_per_range: int) -> None:
        self.keys_per_range = keys_per_range
        self._newest = _from_xid(1)  # from here on nothing has been read
        # Before that, what scans had no room for: what comes after a crowd need not wait for it.
        self._backlog: list[XidRange] = []
        # Transactions that were running when their place was read.
        self._late: dict[int, XidRange] = {}
        self._full: list[XidRange] = []

    @property
    def full_scan_under_way(self) -> bool:
        """Whether a full scan has not come to its end yet."""
        return bool(self._full)

    def begin_full_scan(self) -> None:
        """Read everything again, beside what is new."""
        self._full = _without(_from_xid(1, last=self._newest.after.xid), self._late)

    def ranges(self) -> list[XidRange]:
        """What the next scan reads, except what is still running then."""
        others = (*self._backlog[:PIECES_AT_ONCE], *self._full[:PIECES_AT_ONCE])
        return [self._newest, *self._late.values(), *others]

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
        keys: dict[int, list[InboxKey]] = {}
        for number, key in found:
            keys.setdefault(number, []).append(key)
        rest = {
            ranges[number]: replace(ranges[number], after=several[-1])
            for number, several in keys.items()
            if len(several) >= self.keys_per_range
        }
        self._backlog = _left(self._backlog, rest)
        newer = rest.get(ranges[0])
        if newer is not None:
            # From its beginning on: what lies between is read twice, and leased once.
            first = min((newer, *self._backlog), key=lambda each: each.after)
            whole = replace(first, last=snapshot.xmax - 1)
            self._backlog = _without(whole, snapshot.running)
        self._newest = _from_xid(snapshot.xmax)
        self._late = {xid: rest[each] for xid, each in self._late.items() if each in rest} | {
            xid: _from_xid(xid, last=xid) for xid in snapshot.running
        }
        self._full = _left(self._full, rest)
        return not (rest or self._backlog or self._full)


def _left(pieces: list[XidRange], rest: Mapping[XidRange, XidRange]) -> list[XidRange]:
    """What is left of some pieces, of which the first were read up to their `rest`."""
    read = [rest[each] for each in pieces[:PIECES_AT_ONCE] if each in rest]
    return read + pieces[PIECES_AT_ONCE:]


def unserved(
    keys: Iterable[InboxKey], leased: Mapping[InboxKey, int], *, limit: int, per_key: int
) -> list[InboxKey]:
    """
    Return the places of a scan at which events may still wait.

    A scan goes through the first `limit` places, the first of each tenant before the second of any,
    and leases up to `per_key` events at each, until it has `limit` events; `leased` counts them.
    """
    nth: Counter[TenantId] = Counter()
    order: dict[InboxKey, int] = {}
    for key in sorted(set(keys)):
        nth[key.tenant_id] += 1
        order[key] = nth[key.tenant_id]
    ordered = sorted(order, key=lambda key: (order[key], key))
    looked_at = ordered[:limit]
    if sum(leased.values()) >= limit:
        last = max((index for index, key in enumerate(looked_at) if leased.get(key)), default=0)
        looked_at, rest = ordered[:last], ordered[last:]
    else:
        rest = ordered[limit:]
    return [key for key in looked_at if leased.get(key, 0) >= per_key] + rest
