"""
The lanes that are due and have room, in the order of their turns.

Tenants take turns, first come first served, and so do the lanes of each. Before that, four kinds of
lanes take turns: with first attempts in memory or in need of a claim, unproven or not. So when the
retries of 20,000 tenants come due together, or 20,000 new tenants have their first events, an event
for an endpoint that is known to be quick does not wait for them all. A tenant that has its share of
the slots is passed over, and keeps its place. A lane whose host has its share is parked at the host
until a slot comes back. Tenants passed over hold slots, so a turn takes time by the number of slots
at most, never by that of tenants or lanes.
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
    """
    All lanes in line, and those that are parked at their hosts.

    Lanes that need a claim are in lines of their own: others pass them while none can be made.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._orders = count()
        self._lines = {
            (to_claim, unproven): TenantLines(to_claim=to_claim, unproven=unproven)
            for to_claim in (False, True)
            for unproven in (False, True)
        }
        self._passed_over: list[tuple[TenantLines, TenantLine]] = []
        self._parked: OrderedDict[str, Host] = OrderedDict()
        self.lanes = 0  # that wait

    @property
    def tenants(self) -> int:
        """How many tenants are in line; those with lanes of several kinds count several times."""
        return sum(lines.tenants for lines in self._lines.values())

    def waited(self, *, now: float) -> float:
        """How many seconds the first tenant with quick lanes has waited; 0 if none does."""
        firsts = (lines.first for lines in self._lines.values() if not lines.unproven)
        return max((now - first.since for first in firsts if first), default=0.0)

    def add(self, lane: Lane, *, now: float) -> None:
        """Put a lane in line; one that waits already keeps its place, unless its kind changed."""
        lines = self._lines[lane.needs_claim(now=now), lane.unproven]
        if lane.line is lines:
            return
        if lane.line is not None and self._is_parked(lane) and lane.line.unproven is lane.unproven:
            return
        self.remove(lane)
        lines.add(lane, order=next(self._orders), now=now)
        self.lanes += 1

    def remove(self, lane: Lane) -> None:
        """Take a lane out of line, if it is in one."""
        if lane.line is None:
            return
        lane.line.remove(lane)
        self.lanes -= 1

    def next(self, *, now: float, claims: bool = True) -> tuple[Lane, int, int] | None:
        """
        Take the next lane out of line; None when none may have a slot.

        Without `claims`, lanes that need one keep their places.
        Returns it with how many slots its tenant's and its host's shares allow, and how many lanes
        of its tenant are in line with it. The caller ends a round of calls with `end_round`.
        """
        while first := self._first_line(claims=claims):
            lines, line = first
            by_tenant = self._slots.room_for(line.tenant, unproven=lines.unproven)
            if by_tenant == 0:
                self._passed_over.append((lines, lines.set_aside()))
                continue
            beside = len(line.lanes)
            lane = lines.take(order=next(self._orders), now=now)
            self.lanes -= 1
            by_host = by_tenant
            if lane.host is not None:
                by_host = lane.host.room_for(lane, self._slots, now=now)
            if by_host > 0:
                lines.last_turn = next(self._orders)
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
                self.lanes -= 1
                self.add(lines.take(order=next(self._orders), now=now), now=now)

    def _first_line(self, *, claims: bool) -> tuple[TenantLines, TenantLine] | None:
        """The line of the tenant that came first, of the kind whose last turn is longest ago."""
        firsts = [
            (lines, line)
            for lines in self._lines.values()
            if (claims or not lines.to_claim) and (line := lines.first) is not None
        ]
        if self._slots.free_with_reserve(unproven=True) <= 0:
            firsts = [each for each in firsts if not each[0].unproven]
        return min(firsts, key=lambda each: (each[0].last_turn, each[1].order), default=None)

    def _is_parked(self, lane: Lane) -> bool:
        return lane.line is not None and lane.line not in self._lines.values()

    def _park(self, lane: Lane, host: Host | None, *, now: float) -> None:
        assert host is not None
        host.parked[lane.unproven].add(lane, order=next(self._orders), now=now)
        self.lanes += 1
        self._parked.setdefault(host.key, host)
