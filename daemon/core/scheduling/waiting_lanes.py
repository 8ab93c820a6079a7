"""
The lanes that are due and have room, in the order of their turns.

Tenants take turns, first come first served, and so do the lanes of each. A tenant that has its
share of the slots is passed over, and keeps its place. A lane whose host has its share is parked at
the host until a slot comes back. Tenants passed over hold slots, so a turn takes time by the number
of slots at most, never by that of tenants or lanes.
"""

from collections import OrderedDict
from itertools import count

from daemon.core.scheduling.endpoint_lane import Lane
from daemon.core.scheduling.host_shares import Host
from daemon.core.scheduling.slots import Slots
from daemon.core.scheduling.tenant_lines import TenantLine, TenantLines

# Bounds the work after each attempt; what else there is room for follows with the next.
UNPARKED_AT_ONCE = 4
HOSTS_REVIEWED_AT_ONCE = 8


class WaitingLanes:
    """All lanes in line, and those that are parked at their hosts."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._orders = count()
        self._quick = TenantLines(unproven=False)
        self._unproven = TenantLines(unproven=True)
        self._passed_over: list[tuple[TenantLines, TenantLine]] = []
        self._parked: OrderedDict[str, Host] = OrderedDict()
        self._parked_lanes = 0

    @property
    def tenants(self) -> int:
        """How many tenants are in line; those with lanes of both kinds count twice."""
        return self._quick.tenants + self._unproven.tenants

    def __len__(self) -> int:
        """How many lanes wait."""
        return len(self._quick) + len(self._unproven) + self._parked_lanes

    def waited(self, *, now: float) -> float:
        """How many seconds the first tenant with quick lanes has waited; 0 if none does."""
        first = self._quick.first
        return now - first.since if first else 0.0

    def add(self, lane: Lane, *, now: float) -> None:
        """Put a lane in line; one that waits already keeps its place, unless its kind changed."""
        if lane.line is not None and lane.line.unproven is lane.unproven:
            return
        self.remove(lane)
        lines = self._unproven if lane.unproven else self._quick
        lines.add(lane, order=next(self._orders), now=now)

    def remove(self, lane: Lane) -> None:
        """Take a lane out of line, if it is in one."""
        if lane.line is None:
            return
        if lane.line not in (self._quick, self._unproven):
            self._parked_lanes -= 1
        lane.line.remove(lane)

    def next(self, *, now: float) -> tuple[Lane, int, int] | None:
        """
        Take the next lane out of line; None when none may have a slot.

        Returns it with how many slots its tenant's and its host's shares allow, and how many lanes
        of its tenant are in line with it. The caller ends a round of calls with `end_round`.
        """
        while first := self._first_line():
            lines, line = first
            by_tenant = self._slots.room_for(line.tenant, unproven=lines.unproven)
            if by_tenant == 0:
                self._passed_over.append((lines, lines.set_aside()))
                continue
            beside = len(line.lanes)
            lane = lines.take(order=next(self._orders), now=now)
            by_host = by_tenant
            if lane.host is not None:
                by_host = lane.host.room_for(lane, self._slots, now=now)
            if by_host > 0:
                return lane, min(by_tenant, by_host), beside
            self._park(lane, lane.host, now=now)
        return None

    def end_round(self) -> None:
        """Put the tenants that were passed over back in their places."""
        while self._passed_over:
            lines, line = self._passed_over.pop()
            lines.restore(line)

    def review_parked(self, *, now: float) -> None:
        """Return lanes of some hosts to their lines if their share has grown, as others ended."""
        for _ in range(min(HOSTS_REVIEWED_AT_ONCE, len(self._parked))):
            key, host = next(iter(self._parked.items()))
            self.unpark(host, now=now)
            self._parked.move_to_end(key)
            if not any(host.parked):
                del self._parked[key]

    def unpark(self, host: Host | None, *, now: float) -> None:
        """Return lanes that are parked at this host to their lines, as far as its share goes."""
        if host is None or host.key not in self._parked:
            return
        for lines in host.parked:
            for _ in range(UNPARKED_AT_ONCE):
                lane = lines.first_lane
                if lane is None:
                    break
                if host.room_for(lane, self._slots, now=now) == 0:
                    lines.pass_over()  # another tenant may hold fewer slots
                    continue
                self._parked_lanes -= 1
                self.add(lines.take(order=next(self._orders), now=now), now=now)

    def _first_line(self) -> tuple[TenantLines, TenantLine] | None:
        """The line of the tenant that came first, of those with lanes that may have any slot."""
        quick, unproven = self._quick.first, self._unproven.first
        if unproven is None or self._slots.free_with_reserve(unproven=True) <= 0:
            return (self._quick, quick) if quick else None
        if quick is None or unproven.order < quick.order:
            return self._unproven, unproven
        return self._quick, quick

    def _park(self, lane: Lane, host: Host | None, *, now: float) -> None:
        assert host is not None
        host.parked[lane.unproven].add(lane, order=next(self._orders), now=now)
        self._parked_lanes += 1
        self._parked.setdefault(host.key, host)
