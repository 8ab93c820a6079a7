"""No committed event is missed, in whatever order transactions commit."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.inbox_scan import InboxScan, Snapshot, XidRange, unserved
from daemon.core.scheduling.inbox_turns import InboxKey

steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sets(st.integers(0, 4), min_size=1)),
        st.tuples(st.just("commit"), st.integers(0, 10)),
        st.tuples(st.just("roll back"), st.integers(0, 10)),
        st.tuples(st.just("scan"), st.just(0)),
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

    def read(
        self, ranges: list[XidRange], limit: int
    ) -> tuple[list[tuple[int, InboxKey]], Snapshot]:
        found = [
            (number, key)
            for number, each in enumerate(ranges)
            if each.last not in self.running  # as the statement leaves them out
            for key in sorted(k for k in self.committed if each.after < k and k.xid <= each.last)[
                :limit
            ]
        ]
        return found, Snapshot(self.next_xid, tuple(sorted(self.running)))


@given(steps, st.integers(1, 3))
def test_every_committed_event_is_found_without_a_full_scan(
    taken: list[tuple[str, object]], keys_per_range: int
) -> None:
    inbox, scan = Inbox(), InboxScan(keys_per_range=keys_per_range)
    found: set[InboxKey] = set()

    def read() -> bool:
        ranges = scan.ranges()
        keys, snapshot = inbox.read(ranges, keys_per_range)
        found.update(key for _, key in keys)
        return scan.completed(ranges, keys, snapshot)

    for step, argument in taken:
        match step, argument:
            case "begin", set() as tenants:
                inbox.begin(tenants)
            case "commit" | "roll back", int() as number:
                inbox.end(number, commits=step == "commit")
            case "scan", _:
                read()
            case "scan fully", _ if not scan.full_scan_under_way:
                scan.begin_full_scan()
    while not read():
        pass

    assert found == set(inbox.committed)


def test_what_comes_after_a_crowd_is_read_by_the_next_scan() -> None:
    inbox, scan = Inbox(), InboxScan(keys_per_range=2)

    def read() -> set[InboxKey]:
        ranges = scan.ranges()
        keys, snapshot = inbox.read(ranges, 2)
        scan.completed(ranges, keys, snapshot)
        return {key for _, key in keys}

    inbox.begin(set(range(20)))
    inbox.end(0, commits=True)
    read()
    for tenant in range(100, 103):
        inbox.begin({tenant})
        inbox.end(0, commits=True)

        assert inbox.committed[-1] in read()


@given(st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=10))
def test_a_full_scan_finds_again_what_was_found_before(transactions: list[set[int]]) -> None:
    inbox, scan = Inbox(), InboxScan(keys_per_range=2)
    for tenants in transactions:
        inbox.begin(tenants)
        inbox.end(0, commits=True)

    def read_all() -> set[InboxKey]:
        found: set[InboxKey] = set()
        complete = False
        while not complete:
            ranges = scan.ranges()
            keys, snapshot = inbox.read(ranges, 2)
            found.update(key for _, key in keys)
            complete = scan.completed(ranges, keys, snapshot)
        return found

    assert read_all() == set(inbox.committed)
    assert read_all() == set()
    scan.begin_full_scan()
    assert read_all() == set(inbox.committed)
    assert not scan.full_scan_under_way


def test_no_scan_passes_a_transaction_that_was_running_before() -> None:
    inbox, scan = Inbox(), InboxScan(keys_per_range=2)

    def passed() -> set[int]:
        ranges = scan.ranges()
        keys, snapshot = inbox.read(ranges, 2)
        scan.completed(ranges, keys, snapshot)
        return {
            xid
            for each in ranges
            for xid in inbox.running
            if each.last not in inbox.running and each.after.xid < xid <= each.last
        }

    for _ in range(40):
        inbox.begin({1, 2, 3})
        inbox.begin({1})
        inbox.end(len(inbox.running) - 1, commits=True)
    assert len(passed()) == 40
    scan.begin_full_scan()

    assert scan.full_scan_under_way
    while scan.full_scan_under_way:
        assert passed() == set()
    assert len(scan.ranges()) == 1 + 40


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
