"""
The share of all slots that one host has: an address at which any number of webhooks may be.

Rule: a host loses its share by hanging, not by popularity. One that answers may hold two thirds of
all slots. When nothing comes back from it for half a second, its share shrinks at once, until it
answers again. A tenant that holds no slot gets one nevertheless, up to three quarters: its
neighbours at a load balancer may be at fault, not the host.
"""

from dataclasses import dataclass, field

from daemon.core.scheduling.endpoint_lane import Lane
from daemon.core.scheduling.slots import Held, Share, Slots
from daemon.core.scheduling.tenant_lines import TenantLines

SILENT_SECONDS = 0.5
SILENT_IN_FLIGHT = 8  # with fewer, a silence says little

ANSWERING = Share(2)
SILENT = Share(1, 2)
UNPROVEN = Share(1)
FIRST = Share(3)


@dataclass(slots=True, eq=False, kw_only=True)
class Host(Held):
    """
    What one daemon knows of a host; `key` is its address.

    `silent` begins when quick lanes' attempts stay without an answer, and ends with an answer.
    `parked` are the lanes, quick and unproven, that wait until the host has a share for them.
    """

    key: str
    silent: bool = False
    answered_at: float = 0.0
    parked: tuple[TenantLines, TenantLines] = field(
        default_factory=lambda: (TenantLines(unproven=False), TenantLines(unproven=True))
    )

    def begin(self, *, now: float) -> None:
        """Note that attempts begin: a silence is counted from the first of them."""
        if self.in_flight == self.unproven:
            self.answered_at = now

    def answered(self, *, now: float) -> None:
        """Note that an answer came from this host."""
        self.silent = False
        self.answered_at = now

    def room_for(self, lane: Lane, slots: Slots, *, now: float) -> int:
        """How many more slots this lane may take, as far as its host is concerned."""
        quick = self.in_flight - self.unproven
        if quick >= SILENT_IN_FLIGHT and now - self.answered_at > SILENT_SECONDS:
            self.silent = True
        free = slots.free_with_reserve(unproven=lane.unproven)
        if lane.unproven:
            room = UNPROVEN.room(held=self.unproven, free=free)
        else:
            room = ANSWERING.room(held=self.in_flight, free=free)
        if self.silent:
            room = min(room, SILENT.room(held=self.in_flight, free=free))
        if room == 0 and self._is_first(lane):
            return min(1, FIRST.room(held=self.in_flight, free=free))
        return room

    def _is_first(self, lane: Lane) -> bool:
        """Whether the neighbours should not count: its tenant, or a quick lane, holds no slot."""
        if lane.tenant.in_flight == 0:
            return True
        return lane.held == 0 and not (lane.unproven or self.silent)
