"""No committed event is missed, in whatever order transactions commit."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.inbox_scan import (
    EMPTY_SNAPSHOT,
    LAST_TENANT,
    LAST_XID,
    LONG_SECONDS,
    InboxScan,
    Snapshot,
    XidRange,
    newly_visible,
    unserved,
)
from daemon.core.scheduling.inbox_turns import InboxKey

steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sets(st.integers(0, 4), min_size=1)),
        st.tuples(st.just("commit"), st.integers(0, 10)),
        st.tuples(st.just("roll back"), st.integers(0, 10)),
        st.tuples(st.just("wait"), st.just(0)),
        st.tuples(st.just("scan"), st.just(0)),
        st.tuples(st.just("scan takes too long"), st.just(0)),
        st.tuples(st.just("read aside"), st.just(0)),
        st.tuples(st.just("reading aside takes too long"), st.just(0)),
        st.tuples(st.just("scan fully"), st.just(0)),
    ),
    max_size=60,
)


class Inbox:
    """The inbox of a database: what is committed, and which transactions run."""

    def __init__(self) -> None:
        self.next_xid = 100
        self.running: dict[int, list[InboxKey]] = {}
        self.committed: list[InboxKey] = []

    def begin(self, tenants: set[int]) -> None:
        self.running[self.next_xid] = [
            InboxKey(self.next_xid, TenantId(UUID(int=each))) for each in tenants
        ]
        self.next_xid += 1

    def end(self, number: int, *, commits: bool) -> None:
        if self.running:
            keys = self.running.pop(sorted(self.running)[number % len(self.running)])
            self.committed += keys if commits else []

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self.next_xid, tuple(sorted(self.running)))

    def read(self, piece: XidRange, most: int) -> list[InboxKey]:
        return sorted(k for k in self.committed if piece.after < k and k.xid <= piece.last)[:most]


def parts(piece: XidRange, snapshot: Snapshot) -> Iterator[XidRange]:
    """What the statement reads of a range, each part up to its number of places."""
    if piece.last < LAST_XID:
        yield from () if piece.last in snapshot.running else (piece,)
        return
    for bound in (*snapshot.running, snapshot.xmax):
        if bound > piece.after.xid:
            yield replace(piece, last=bound - 1)
            piece = replace(piece, after=InboxKey(bound, LAST_TENANT))


class Scanned:
    """An inbox with the scans of it, and what they found; a statement finds `most` places."""

    def __init__(self, *, most: int) -> None:
        self.inbox, self.most, self.now = Inbox(), most, 0.0
        self.scan = InboxScan(keys_per_range=most)
        self.found: set[InboxKey] = set()

    def read(self) -> bool:
        """Scan what is new; returns whether all of it was read."""
        ranges = self.scan.ranges(now=self.now)
        keys = [
            (number, key)
            for number, each in enumerate(ranges)
            for part in parts(each, self.inbox.snapshot)
            for key in self.inbox.read(part, self.most)
        ]
        self.found.update(key for _, key in keys)
        return self.scan.completed(ranges, keys, self.inbox.snapshot, now=self.now)

    def read_aside(self) -> bool:
        """Read pieces aside; returns whether there were any."""
        pieces = self.scan.next_aside()
        if pieces:
            found = [
                (number, key)
                for number, piece in enumerate(pieces)
                for key in self.inbox.read(piece, self.most)
            ]
            self.found.update(key for _, key in found)
            self.scan.read_aside(pieces, found, most=self.most)
        return bool(pieces)

    def take(self, step: str, argument: object) -> None:
        match step, argument:
            case "begin", set() as tenants:
                self.inbox.begin(tenants)
            case "commit" | "roll back", int() as number:
                self.inbox.end(number, commits=step == "commit")
            case "wait", _:
                self.now += LONG_SECONDS
            case "scan", _:
                self.read()
            case "scan takes too long", _:
                self.scan.ranges(now=self.now)
                self.scan.begin_from(self.inbox.snapshot)
            case "read aside", _:
                self.read_aside()
            case "reading aside takes too long", _:
                pieces = self.scan.next_aside()
                if len(pieces) == 1 and pieces[0].is_single:
                    self.scan.not_read_aside(pieces)  # as if the full scan came at once
                else:
                    self.scan.took_too_long(pieces)
            case "scan fully", _ if not self.scan.full_scan_under_way:
                self.scan.begin_full_scan()

    def read_all(self) -> set[InboxKey]:
        """Read until nothing is left; returns what was found meanwhile."""
        self.found = set()
        while not self.read() or self.read_aside():
            pass
        return self.found


@given(steps, st.integers(1, 3))
def test_every_committed_event_is_found_without_a_full_scan(
    taken: list[tuple[str, object]], most: int
) -> None:
    scanned = Scanned(most=most)
    for step, argument in taken:
        scanned.take(step, argument)
    before = set(scanned.found)

    assert before | scanned.read_all() == set(scanned.inbox.committed)


def test_what_comes_after_a_crowd_is_read_by_the_next_scan() -> None:
    scanned = Scanned(most=2)
    scanned.inbox.begin(set(range(20)))
    scanned.inbox.end(0, commits=True)
    scanned.read()
    for tenant in range(100, 103):
        scanned.inbox.begin({tenant})
        scanned.inbox.end(0, commits=True)
        scanned.read()

        assert scanned.inbox.committed[-1] in scanned.found


@given(st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=10))
def test_a_full_scan_finds_again_what_was_found_before(transactions: list[set[int]]) -> None:
    scanned = Scanned(most=2)
    for tenants in transactions:
        scanned.inbox.begin(tenants)
        scanned.inbox.end(0, commits=True)

    assert scanned.read_all() == set(scanned.inbox.committed)
    assert scanned.read_all() == set()
    scanned.scan.begin_full_scan()
    assert scanned.read_all() == set(scanned.inbox.committed)
    assert not scanned.scan.full_scan_under_way


def passed(scanned: Scanned, ranges: list[XidRange]) -> set[int]:
    """The running transactions whose rows are passed when these are read."""
    return {
        xid
        for each in ranges
        for part in parts(each, scanned.inbox.snapshot)
        for xid in scanned.inbox.running
        if part.after.xid < xid <= part.last
    }


def read_while_running(scanned: Scanned) -> list[int]:
    """Read everything aside; returns which running transactions were read, none beside others."""
    read: list[int] = []
    while pieces := scanned.scan.next_aside():
        numbers = [each.first for each in pieces if each.first in scanned.inbox.running]
        assert not numbers or (len(numbers) == len(pieces) and all(p.is_single for p in pieces))
        assert numbers or passed(scanned, pieces) == set()
        read += numbers
        scanned.scan.read_aside(pieces, [], most=2)
    return read


@pytest.mark.parametrize("begins", [False, True])
def test_nothing_that_is_read_passes_a_running_transaction(*, begins: bool) -> None:
    scanned = Scanned(most=2)
    for _ in range(40):
        scanned.inbox.begin({1, 2, 3})
        scanned.inbox.begin({1})
        scanned.inbox.end(len(scanned.inbox.running) - 1, commits=True)
    if begins:
        scanned.scan.begin_from(scanned.inbox.snapshot)
        # Once, and by themselves: what a dump brought may have the number of one that runs.
        assert read_while_running(scanned) == sorted(scanned.inbox.running)

    for _ in range(3):
        assert passed(scanned, scanned.scan.ranges(now=0.0)) == set()
        scanned.read()
        scanned.scan.begin_full_scan()
        while pieces := scanned.scan.next_aside():
            assert passed(scanned, pieces) == set()
            scanned.scan.read_aside(pieces, [], most=2)


def test_a_transaction_that_runs_for_long_is_read_aside_when_it_has_ended() -> None:
    scanned = Scanned(most=2)
    for _ in range(2):
        scanned.inbox.begin({1})
    scanned.read()
    scanned.inbox.end(0, commits=True)
    scanned.read()
    scanned.now += LONG_SECONDS
    scanned.inbox.end(0, commits=True)
    short, long = scanned.inbox.committed

    assert scanned.found == {short}
    assert not any(each.last == long.xid for each in scanned.scan.ranges(now=scanned.now))
    scanned.read()
    assert scanned.found == {short}
    assert scanned.read_aside()
    assert scanned.found == {short, long}


def test_a_full_scan_and_what_has_ended_take_turns() -> None:
    scanned = Scanned(most=1)
    scanned.inbox.begin({1, 2, 3, 4, 5, 6})
    scanned.inbox.end(0, commits=True)
    scanned.read_all()
    scanned.scan.begin_full_scan()
    for _ in range(3):
        scanned.inbox.begin({7})
    scanned.read()
    scanned.now += LONG_SECONDS
    for _ in range(3):
        scanned.inbox.end(0, commits=True)
    scanned.read()

    kinds = []
    while pieces := scanned.scan.next_aside():
        kinds.append(["ended" if each.is_single and each.last > 100 else "full" for each in pieces])
        found = [(n, k) for n, each in enumerate(pieces) for k in scanned.inbox.read(each, 1)]
        scanned.scan.read_aside(pieces, found, most=1)

    assert kinds[:4] == [["ended"] * 3, ["full"], ["ended"] * 3, ["full"]]


def test_pieces_that_take_too_long_are_read_one_by_one_and_halved() -> None:
    scan = InboxScan(keys_per_range=2)
    scan.begin_from(Snapshot(xmax=10, running=(4,)))
    read: list[list[tuple[int, int]]] = []
    while pieces := scan.next_aside():
        read.append([(each.first, each.last) for each in pieces])
        if (5, 9) in read[-1] or (5, 7) in read[-1]:
            scan.took_too_long(pieces)
        else:
            scan.read_aside(pieces, [], most=2)

    whole, running, first, second = read[:4]
    assert [whole, running] == [[(1, 3), (5, 9)], [(4, 4)]]
    assert [first, second] == [[(1, 3)], [(5, 9)]]
    assert read[4:] == [[(5, 7)], [(8, 9)], [(5, 6)], [(7, 7)]]


def test_numbers_that_the_server_has_not_reached_are_read_by_a_full_scan_alone() -> None:
    scan = InboxScan(keys_per_range=2)
    scan.begin_full_scan(future=(1000, 2000))
    future = [(each.first, each.last) for each in scan.next_aside()]
    scan.completed(scan.ranges(now=0.0), [], Snapshot(xmax=10, running=(4,)), now=0.0)
    scan.begin_full_scan()

    assert future == [(1000, 2000)]
    assert [(each.first, each.last) for each in scan.next_aside()] == [(1, 3), (5, 9)]
    assert [each.first for each in scan.ranges(now=0.0)] == [10, 4]


def test_on_another_server_everything_is_read_again_aside() -> None:
    scan = InboxScan(keys_per_range=2)
    scan.begin_from(Snapshot(xmax=90, running=(70,)))
    scan.completed(scan.ranges(now=0.0), [], Snapshot(xmax=95, running=(70, 93)), now=0.0)

    scan.begin_anew(Snapshot(xmax=20, running=(15,)))

    assert [(each.first, each.last) for each in scan.ranges(now=0.0)] == [(20, LAST_XID)]
    pieces = scan.next_aside() + scan.next_aside()
    assert [(each.first, each.last) for each in pieces] == [(1, 14), (16, 19), (15, 15)]


def test_a_snapshot_follows_those_of_the_same_server_with_no_higher_number() -> None:
    snapshot = Snapshot(20, (11, 14), "a")

    assert snapshot.follows(Snapshot(20, (9,), "a"))
    assert snapshot.follows(Snapshot(19, (), "a"))
    assert not snapshot.follows(Snapshot(21, (), "a"))
    assert not snapshot.follows(Snapshot(19, (), "b"))
    assert not snapshot.follows(EMPTY_SNAPSHOT)


def test_a_single_transaction_that_takes_too_long_is_left_to_the_next_full_scan() -> None:
    scan = InboxScan(keys_per_range=2)
    scan.begin_from(Snapshot(xmax=2, running=()))
    scan.took_too_long(scan.next_aside())

    assert scan.next_aside() == []
    scan.begin_full_scan()
    assert [(each.first, each.last) for each in scan.next_aside()] == [(1, 1)]


def test_the_rest_of_a_transaction_and_another_one_are_not_taken_for_one() -> None:
    rest = XidRange(InboxKey(5, TenantId(UUID(int=3))), last=6)

    assert not rest.is_single
    assert XidRange(InboxKey(5, TenantId(UUID(int=3))), last=5).is_single
    assert XidRange(InboxKey(5, LAST_TENANT), last=6).is_single


def test_a_snapshot_is_read_as_postgresql_prints_it() -> None:
    assert Snapshot.parse("10:20:11,14") == Snapshot(20, (11, 14))
    assert Snapshot.parse("10:10:") == Snapshot(10, ())


@given(
    counts=st.dictionaries(
        st.builds(InboxKey, st.integers(1, 4), st.builds(TenantId, st.uuids(version=4))),
        st.integers(0, 5),
        max_size=12,
    ),
    one_tenant=st.booleans(),
    limit=st.integers(1, 8),
    per_key=st.integers(1, 4),
)
def test_no_place_is_forgotten_at_which_a_scan_left_events(
    counts: dict[InboxKey, int], one_tenant: bool, limit: int, per_key: int
) -> None:
    if one_tenant:
        counts = {InboxKey(n, TenantId(UUID(int=1))): c for n, c in enumerate(counts.values())}
    order = {
        key: (sum(k.tenant_id == key.tenant_id and k < key for k in counts), key) for key in counts
    }
    leased: dict[InboxKey, int] = {}
    for key in sorted(counts, key=order.__getitem__)[:limit]:
        leased[key] = min(counts[key], per_key, limit - sum(leased.values()))

    rest = unserved(counts, leased, limit=limit, per_key=per_key)

    assert len(rest) == len(set(rest))
    assert {key for key in counts if counts[key] > leased.get(key, 0)} <= set(rest)
    if limit > 5 * len(counts) and per_key > 3:
        assert len(rest) <= sum(count >= per_key for count in counts.values())


@given(earlier=st.sets(st.integers(1, 9)), later=st.sets(st.integers(1, 9)), more=st.integers(0, 5))
def test_what_one_snapshot_shows_and_an_earlier_one_did_not_is_what_became_visible(
    earlier: set[int], later: set[int], more: int
) -> None:
    """The first one shows what was not running of nine transactions; some end, and others begin."""
    first = Snapshot(10, tuple(sorted(earlier)))
    new = range(10, 10 + more)
    running = later & earlier | {xid for xid in new if xid - 9 in later}
    second = Snapshot(10 + more, tuple(sorted(running)))

    ranges = newly_visible(first, second)

    found = [xid for each in ranges for xid in range(each.first, each.last + 1)]
    assert sorted(found) == [xid for xid in (*sorted(earlier), *new) if xid not in running]
