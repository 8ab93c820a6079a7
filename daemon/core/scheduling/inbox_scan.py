"""
Which part of the inbox the next scan reads: what may have become visible since the last one.

The rule: no committed event is missed. Rows are ordered by the number of their transaction, and
that is not the order of commits: a row is new if its transaction began after the last snapshot, or
was still running in it. Where one scan does not read all of that, later scans read the rest beside
what is newer.

A scan must be quick: everybody's new events wait for it. A transaction that runs for long may leave
a million rows, which are invisible, or dead once it is rolled back, and passing them takes seconds.
So what it inserted is read *aside*, when it has ended, and so is all that was there before the
first scan, and what full scans find: what other daemons took and did not finish.

Where a dump was restored into this server, rows have numbers of the server that it came from. Such
a number may lie in this server's future: full scans read those, too. Or a transaction of this
server has it: whether that runs or was rolled back says nothing about the row, only reading does.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.inbox_turns import InboxKey

LAST_XID = 2**63 - 1
PIECES_AT_ONCE = 8  # of what was found before; each has as many places as another range
PIECES_ASIDE = 32  # likewise, of what is read aside
LONG_SECONDS = 0.1  # that a transaction runs, until what it inserts is read aside
LAST_TENANT = TenantId(UUID(int=2**128 - 1))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    A snapshot: transactions from `xmax` on, and those in `running`, are invisible in it.

    Its numbers say something only about the `server` that it comes from.
    """

    xmax: int
    running: tuple[int, ...]
    server: str = ""

    @classmethod
    def parse(cls, snapshot: str, *, server: str = "") -> "Snapshot":
        """Read `xmin:xmax:xip,xip`, as PostgreSQL prints a pg_snapshot."""
        _, xmax, running = snapshot.split(":")
        return cls(int(xmax), tuple(int(xid) for xid in running.split(",") if xid), server)

    def follows(self, earlier: "Snapshot") -> bool:
        """
        Whether transactions have been numbered on from those of an earlier snapshot.

        A standby that is promoted gives those numbers again that it had not received.
        """
        return self.server == earlier.server and self.xmax >= earlier.xmax


EMPTY_SNAPSHOT = Snapshot(xmax=0, running=())


@dataclass(frozen=True, slots=True)
class XidRange:
    """Places after `after`, of transactions up to number `last`."""

    after: InboxKey
    last: int = LAST_XID

    @property
    def is_single(self) -> bool:
        """Whether it is about one transaction."""
        return self.first == self.last

    @property
    def first(self) -> int:
        """The number of the first transaction."""
        return self.after.xid + (self.after.tenant_id == LAST_TENANT)


def _from_xid(xid: int, last: int = LAST_XID) -> XidRange:
    return XidRange(InboxKey(xid - 1, LAST_TENANT), last)


def _only_xid(xid: int) -> XidRange:
    return _from_xid(xid, last=xid)


def _without(whole: XidRange, running: Iterable[int]) -> list[XidRange]:
    """The parts of a range between the transactions that are running."""
    parts: list[XidRange] = []
    rest = whole
    for xid in sorted(running):
        if whole.after < InboxKey(xid, LAST_TENANT) and xid <= whole.last:
            parts.append(replace(rest, last=xid - 1))
            rest = _from_xid(xid + 1, last=whole.last)
    return [each for each in (*parts, rest) if each.after < InboxKey(each.last, LAST_TENANT)]


def newly_visible(earlier: Snapshot, later: Snapshot) -> list[XidRange]:
    """Return the transactions that one snapshot shows and an earlier one of that server did not."""
    ended = set(earlier.running) - set(later.running)
    newest = _without(_from_xid(earlier.xmax, last=later.xmax - 1), later.running)
    return [*newest, *map(_only_xid, sorted(ended))]


class InboxScan:
    """
    The ranges of the next scan, of which it reads at most `keys_per_range` places each.

    What is read aside waits in a list of its own. Times are monotonic.
    """

    def __init__(self, *, keys_per_range: int) -> None:
        self.keys_per_range = keys_per_range
        self._newest = _from_xid(1)  # from here on nothing has been read
        # Before that, what scans had no room for: what comes after a crowd need not wait for it.
        self._backlog: list[XidRange] = []
        # Transactions that were running when their place was read.
        self._late: dict[int, XidRange] = {}
        self._running_since: dict[int, float] = {}
        self._long: set[int] = set()  # those that run for long
        # What is read aside: of long transactions that have ended, and everything.
        self._ended: deque[XidRange] = deque()
        self._full: deque[XidRange] = deque()
        self._read_last = self._full
        self._alone = 0  # how many pieces are still to be read one by one

    @property
    def full_scan_under_way(self) -> bool:
        """Whether a full scan has not come to its end yet."""
        return bool(self._full)

    @property
    def waits_aside(self) -> bool:
        """Whether something is to be read aside now."""
        return bool(self._ended or self._full)

    def begin_from(self, snapshot: Snapshot) -> None:
        """Leave to be read aside what is there now, and what is running."""
        self._leave(XidRange(self._newest.after, last=snapshot.xmax - 1), snapshot.running)
        # Read once while they run, too: what is visible then came with a dump that was restored.
        # By themselves, and after others: that may pass a million rows.
        self._ended += [_only_xid(xid) for xid in snapshot.running]
        self._read_last = self._ended
        self._full += self._backlog
        self._backlog = []
        self._long |= {*self._late, *snapshot.running}
        self._late = {}
        self._newest = _from_xid(snapshot.xmax)

    def begin_anew(self, snapshot: Snapshot) -> None:
        """Do so on another server: what was read before says nothing about its transactions."""
        self._newest = _from_xid(1)
        self._backlog, self._late, self._running_since, self._long = [], {}, {}, set()
        self._ended.clear()
        self._full.clear()
        self._alone = 0
        self.begin_from(snapshot)

    def begin_full_scan(self, *, future: tuple[int, int] | None = None) -> None:
        """Read everything again, aside; `future`: the first and last number that lie there."""
        self._leave(_from_xid(1, last=self._newest.after.xid), self._late.keys() | self._long)
        if future is not None:
            first, last = future
            self._leave(_from_xid(first, last=last), ())

    def ranges(self, *, now: float) -> list[XidRange]:
        """What the next scan reads, except what is still running then."""
        for xid, since in self._running_since.items():
            if now - since >= LONG_SECONDS and xid in self._late:
                del self._late[xid]
                self._long.add(xid)
        return [self._newest, *self._late.values(), *self._backlog[:PIECES_AT_ONCE]]

    def completed(
        self,
        ranges: Sequence[XidRange],
        found: Iterable[tuple[int, InboxKey]],
        snapshot: Snapshot,
        *,
        now: float,
    ) -> bool:
        """
        Note what a scan of `ranges` found: places with the number of their range, in order.

        Returns whether everything new was read; otherwise the next scan goes on.
        """
        keys: dict[int, list[InboxKey]] = {}
        for number, key in found:
            keys.setdefault(number, []).append(key)
        # The newest range is read in parts, each up to that number: before this one, all are found.
        last = self.keys_per_range - 1
        rest = {
            ranges[number]: replace(ranges[number], after=several[last])
            for number, several in keys.items()
            if len(several) > last
        }
        self._backlog = _left(self._backlog, rest)
        newer = rest.get(ranges[0])
        if newer is not None:
            # From its beginning on: what lies between is read twice, and leased once.
            first = min((newer, *self._backlog), key=lambda each: each.after)
            whole = replace(first, last=snapshot.xmax - 1)
            self._backlog = _without(whole, snapshot.running)
        self._newest = _from_xid(snapshot.xmax)
        late = {xid: rest[each] for xid, each in self._late.items() if each in rest}
        self._note_running(snapshot, now)
        self._late = late | {
            xid: _only_xid(xid) for xid in snapshot.running if xid not in self._long
        }
        return not (rest or self._backlog)

    def next_aside(self) -> list[XidRange]:
        """Remove and return pieces to be read aside next; one of the three below follows."""
        first, other = self._full, self._ended
        if self._read_last is self._full:
            first, other = other, first
        self._read_last = first or other
        count = 1 if self._alone else min(PIECES_ASIDE, len(self._read_last))
        return [self._read_last.popleft() for _ in range(count if self._read_last else 0)]

    def read_aside(
        self, pieces: Sequence[XidRange], found: Iterable[tuple[int, InboxKey]], *, most: int
    ) -> None:
        """Note the places found, with the number of their piece; of `most`, there may be more."""
        self._alone = max(0, self._alone - 1)
        keys: dict[int, list[InboxKey]] = {}
        for number, key in found:
            keys.setdefault(number, []).append(key)
        for number, several in keys.items():
            if len(several) >= most:
                self._read_last.append(replace(pieces[number], after=several[-1]))

    def not_read_aside(self, pieces: Sequence[XidRange]) -> None:
        """Note that these pieces were not read."""
        self._read_last.extendleft(reversed(pieces))

    def took_too_long(self, pieces: Sequence[XidRange]) -> None:
        """
        Note that these pieces took too long: they are read one by one, and then in halves.

        A single transaction that takes too long is left to the next full scan.
        """
        if len(pieces) > 1:
            self._alone = len(pieces)
            self.not_read_aside(pieces)
            return
        self._alone = max(0, self._alone - 1)
        for piece in pieces:
            if not piece.is_single:
                middle = (piece.first + piece.last) // 2
                halves = [replace(piece, last=middle), _from_xid(middle + 1, last=piece.last)]
                self._read_last += halves
                self._alone += len(halves)

    def _leave(self, whole: XidRange, running: Iterable[int]) -> None:
        self._full += _without(whole, {*running, *self._late, *self._long})

    def _note_running(self, snapshot: Snapshot, now: float) -> None:
        """Note since when transactions run; what those inserted that ran for long is left aside."""
        running = set(snapshot.running)
        self._running_since = {xid: self._running_since.get(xid, now) for xid in running}
        self._ended += [_only_xid(xid) for xid in sorted(self._long - running)]
        self._long &= running


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
