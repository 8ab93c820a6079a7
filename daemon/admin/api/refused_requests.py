"""
Refused requests, counted within a window: a flood of them makes a bounded number of records.

The first of a kind is recorded at once, the others together at the end of the window.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from daemon.core.model.audit import NOBODY, AuditRecord

MAX_KINDS_OF_PEER = 10
MAX_KINDS = 200
SEVERAL = "several"  # in place of an operation, where there were too many kinds


class RefusedRequests:
    """
    Counts the requests of one window by peer, caller, operation and status.

    A peer with too many kinds has the rest counted together by status and caller; when there are
    too many kinds in all, the rest is counted by status alone.
    """

    def __init__(self) -> None:
        self._counts: Counter[AuditRecord] = Counter()
        self._kinds_of_peer: Counter[str | None] = Counter()

    def add(self, record: AuditRecord) -> AuditRecord | None:
        """Count a request; returns its record if it is the first of its kind in this window."""
        kind = self._kind_of(record)
        self._counts[kind] += 1
        if self._counts[kind] > 1:
            return None
        self._kinds_of_peer[kind.peer] += 1
        is_own_kind = kind.action == record.action
        return replace(kind, object_id=record.object_id if is_own_kind else None)

    def take(self) -> Iterator[AuditRecord]:
        """End the window; yields the records of all but the first of each kind, with counts."""
        counts, self._counts = self._counts, Counter()
        self._kinds_of_peer.clear()
        for kind, count in counts.items():
            if count > 1:
                yield replace(kind, count=count - 1)

    def _kind_of(self, record: AuditRecord) -> AuditRecord:
        own = replace(record, object_id=None)
        if self._has_room(own, MAX_KINDS_OF_PEER):
            return own
        of_peer = replace(own, action=SEVERAL, object_type=None)
        # One caller at a peer usually: the limit leaves room for the statuses of a few.
        if self._has_room(of_peer, 2 * MAX_KINDS_OF_PEER):
            return of_peer
        return replace(of_peer, actor=NOBODY, tenant_id=None, peer=None)

    def _has_room(self, kind: AuditRecord, most_of_peer: int) -> bool:
        if kind in self._counts:
            return True
        return len(self._counts) < MAX_KINDS and self._kinds_of_peer[kind.peer] < most_of_peer
