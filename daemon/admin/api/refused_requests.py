"""
Refused requests, counted within a window: a flood of them makes a bounded number of records.

The first of a kind is recorded at once, the others together at the end of the window. Callers with
a valid token have a budget of their own, which requests without one cannot use up.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from daemon.core.model.audit import UNKNOWN_ACTOR, Actor, ActorKind, AuditRecord
from daemon.core.model.ids import TenantId

MAX_KINDS_OF_ONE = 10  # peer or caller, counted by operation
MAX_KINDS = 200  # of unknown callers
MAX_KINDS_OF_CALLERS = 500
SEVERAL = "several"  # in place of an operation, where there were too many kinds

# The budget that a record uses: a peer's (or of no known address), a tenant's or an operator's.
Owner = str | None | TenantId | Actor


class RefusedRequests:
    """
    Counts the requests of one window by peer, caller, operation and status.

    An unknown caller is identified by its peer; of the others, all tokens of a tenant count
    together. One with too many kinds has the rest counted together by status, a known caller
    finally without its peer. When there are too many kinds in all, the rest is counted by status
    alone.
    """

    def __init__(self) -> None:
        self._counts: Counter[AuditRecord] = Counter()
        self._kinds: Counter[Owner] = Counter()
        self._kinds_of_known: Counter[bool] = Counter()

    def add(self, record: AuditRecord) -> AuditRecord | None:
        """Count a request; returns its record if it is the first of its kind in this window."""
        kind = self._kind_of(record)
        self._counts[kind] += 1
        if self._counts[kind] > 1:
            return None
        self._kinds[_owner(record)] += 1
        self._kinds_of_known[_is_known(record)] += 1
        is_own_kind = kind.action == record.action
        return replace(kind, object_id=record.object_id if is_own_kind else None)

    def take(self) -> Iterator[AuditRecord]:
        """End the window; yields the records of all but the first of each kind, with counts."""
        counts, self._counts = self._counts, Counter()
        self._kinds.clear()
        self._kinds_of_known.clear()
        for kind, count in counts.items():
            if count > 1:
                yield replace(kind, count=count - 1)

    def _kind_of(self, record: AuditRecord) -> AuditRecord:
        kinds = list(_kinds_of(record))
        for number, kind in enumerate(kinds, start=1):
            # One caller at a peer usually: the limit leaves room for the statuses of a few.
            if self._has_room(kind, record, number * MAX_KINDS_OF_ONE):
                return kind
        return replace(kinds[-1], actor=UNKNOWN_ACTOR, tenant_id=None, peer=None)

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


def _is_known(record: AuditRecord) -> bool:
    return record.actor.kind is not ActorKind.UNKNOWN


def _owner(record: AuditRecord) -> Owner:
    if not _is_known(record):
        return record.peer
    return record.tenant_id if record.actor.kind is ActorKind.TENANT else record.actor
