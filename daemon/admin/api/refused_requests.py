"""
Refused requests, counted within a window: a flood of them makes a bounded number of records.

The first of a kind is recorded at once, the others together at the end of the window. Callers with
a valid token have a budget of their own, which requests without one cannot use up. Who goes on for
long has a day's records; what comes beyond them is counted for an hour.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from daemon.core.model.audit import UNKNOWN_ACTOR, Actor, ActorKind, AuditRecord
from daemon.core.model.ids import TenantId
from daemon.core.scheduling.daily_quota import DailyQuota

MAX_KINDS_OF_ONE = 10  # peer or caller, counted by operation
MAX_KINDS = 200  # of unknown callers
MAX_KINDS_OF_CALLERS = 500
SEVERAL = "several"  # in place of an operation, where there were too many kinds
# Records of one peer or tenant, and of all unknown callers together; operators are not limited.
DAILY_OF_ONE = 1000
DAILY_OF_UNKNOWN = 10_000
HOUR_SECONDS = 3600.0

# The budget that a record uses: a peer's (or of no known address), a tenant's or an operator's.
Owner = str | None | TenantId | Actor


class RefusedRequests:
    """
    Counts the requests of one window by peer, caller, operation and status.

    An unknown caller is identified by its peer; of the others, all tokens of a tenant count
    together. One with too many kinds has the rest counted together by status, a known caller
    finally without its peer. When there are too many kinds in all, the rest is counted by status
    alone. `now` is in seconds on any clock.
    """

    def __init__(self) -> None:
        self._counts: Counter[AuditRecord] = Counter()
        self._kinds: Counter[Owner] = Counter()
        self._kinds_of_known: Counter[bool] = Counter()
        self._daily = DailyQuota(DAILY_OF_ONE)
        self._daily_of_unknown = DailyQuota(DAILY_OF_UNKNOWN)
        # Beyond the records of a day, with the time of the first.
        self._beyond: Counter[AuditRecord] = Counter()
        self._beyond_since = 0.0

    def __bool__(self) -> bool:
        """Whether any are counted and not taken."""
        return bool(self._counts or self._beyond)

    def add(self, record: AuditRecord, *, now: float) -> AuditRecord | None:
        """Count a request; returns its record if it is the first of its kind in this window."""
        kind = self._kind_of(record)
        if kind not in self._counts and not self._has_daily_room(record, now):
            self._add_beyond(record, now)
            return None
        self._counts[kind] += 1
        if self._counts[kind] > 1:
            if self._counts[kind] == 2:  # of which there will be another record
                self._note_daily(record, now)
            return None
        self._note_daily(record, now)
        self._kinds[_owner(record)] += 1
        self._kinds_of_known[_is_known(record)] += 1
        is_own_kind = kind.action == record.action
        return replace(kind, object_id=record.object_id if is_own_kind else None)

    def take(self, *, now: float) -> Iterator[AuditRecord]:
        """
        End the window; yields the records of all but the first of each kind, with counts.

        Those beyond the records of a day are among them once an hour.
        """
        counts, self._counts = self._counts, Counter()
        self._kinds.clear()
        self._kinds_of_known.clear()
        for kind, count in counts.items():
            if count > 1:
                yield replace(kind, count=count - 1)
        if now - self._beyond_since >= HOUR_SECONDS:
            yield from self._take_beyond()

    def take_all(self) -> Iterator[AuditRecord]:
        """As `take`, with all that were counted."""
        yield from self.take(now=self._beyond_since)
        yield from self._take_beyond()

    def _take_beyond(self) -> Iterator[AuditRecord]:
        counts, self._beyond = self._beyond, Counter()
        for kind, count in counts.items():
            yield replace(kind, count=count)

    def _add_beyond(self, record: AuditRecord, now: float) -> None:
        if not self._beyond:
            self._beyond_since = now
        *_, least_exact = _kinds_of(record)
        # Of unknown callers those that have used up their own are named, which are a few.
        if not _is_known(record) and not self._daily.wait(_owner(record), 1, now=now):
            least_exact = replace(least_exact, peer=None)
        if least_exact not in self._beyond and len(self._beyond) >= MAX_KINDS_OF_CALLERS:
            least_exact = _of_nobody(least_exact)
        self._beyond[least_exact] += 1

    def _has_daily_room(self, record: AuditRecord, now: float) -> bool:
        if record.actor.kind is ActorKind.OPERATOR:
            return True
        if not _is_known(record) and self._daily_of_unknown.wait(UNKNOWN_ACTOR, 1, now=now):
            return False
        return not self._daily.wait(_owner(record), 1, now=now)

    def _note_daily(self, record: AuditRecord, now: float) -> None:
        self._daily.note(_owner(record), 1, now=now)
        if not _is_known(record):
            self._daily_of_unknown.note(UNKNOWN_ACTOR, 1, now=now)

    def _kind_of(self, record: AuditRecord) -> AuditRecord:
        kinds = list(_kinds_of(record))
        for number, kind in enumerate(kinds, start=1):
            # One caller at a peer usually: the limit leaves room for the statuses of a few.
            if self._has_room(kind, record, number * MAX_KINDS_OF_ONE):
                return kind
        return _of_nobody(kinds[-1])

    def _has_room(self, kind: AuditRecord, record: AuditRecord, most: int) -> bool:
        if kind in self._counts:
            return True
        is_known = _is_known(record)
        most_in_all = MAX_KINDS_OF_CALLERS if is_known else MAX_KINDS
        return self._kinds_of_known[is_known] < most_in_all and self._kinds[_owner(record)] < most


def _kinds_of(record: AuditRecord) -> Iterator[AuditRecord]:
    """The kinds that a record may count as, the most exact one first."""
    own = replace(record, object_id=None)
    yield own
    several = replace(own, action=SEVERAL, object_type=None)
    yield several
    if _is_known(record):
        is_tenant = record.actor.kind is ActorKind.TENANT
        yield replace(several, peer=None, tenant_id=record.tenant_id if is_tenant else None)


def _of_nobody(kind: AuditRecord) -> AuditRecord:
    return replace(kind, actor=UNKNOWN_ACTOR, tenant_id=None, peer=None)


def _is_known(record: AuditRecord) -> bool:
    return record.actor.kind is not ActorKind.UNKNOWN


def _owner(record: AuditRecord) -> Owner:
    if not _is_known(record):
        return record.peer
    return record.tenant_id if record.actor.kind is ActorKind.TENANT else record.actor
