"""
Slots for attempts in flight, and the shares of them that tenants, hosts and unproven lanes have.

Rule: a share is so many times what is free. Alone, a tenant or a host may hold most slots; each
that holds many leaves fewer to the next, but always some (dynamic thresholds, Choudhury and Hahne,
IEEE/ACM Transactions on Networking 6(2), 1998). So no share must be known beforehand, and none
is kept free for tenants that do not come.

The last quarter is for tenants that hold few slots. Endpoints may answer quickly for as long as it
takes, and then all hang: shares alone would leave nothing to the next, once a few tenants did that.

A result that is not stored yet takes a slot of its tenant, like an attempt in flight: a batch of
results that takes long to store must not keep others from beginning.
"""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.core.model.ids import TenantId

# Slots of an endpoint that hangs do not come back for a whole timeout. So those that have not
# shown that they are quick leave a quarter to those that have.
UNPROVEN_SHARE = 0.75
RESERVE_SHARE = 1 / 16  # for tenants with nothing in flight, one slot each
LAST_SHARE = 0.25
# Enough for bursts to endpoints that take a tenth of a second. More would let fewer tenants use up
# the last quarter; the number that it takes grows with that of the slots.
FEW = 4
FEW_AT_LEAST, FEW_OF_LAST = 2, 1 / 32  # where there are not many slots


@dataclass(frozen=True, slots=True)
class Share:
    """So many times what is free may be held, as a fraction."""

    times: int
    per: int = 1

    def room(self, *, held: int, free: int) -> int:
        """How many more slots may be taken, one after the other, by one who holds `held`."""
        return max(0, -(-(self.times * free - self.per * held) // (self.times + self.per)))


TENANT = Share(7)
TENANT_UNPROVEN = Share(2)


@dataclass(slots=True)
class Held:
    """Slots held by attempts in flight and claims under way: in all, and of unproven lanes."""

    in_flight: int = 0
    unproven: int = 0


@dataclass(slots=True, kw_only=True)
class Tenant(Held):
    """The slots that one tenant holds; `slow` as those of `Slots`."""

    id: TenantId
    slow: int = 0


class Slots(Held):
    """All slots of one daemon; `slow` attempts of lanes that are not unproven have gone on long."""

    __slots__ = (
        "_few", "_for_unproven", "_last", "_reserve", "_reserve_of_unproven", "_unstored",
        "_unstored_of", "slow", "total",
    )  # fmt: skip

    def __init__(self, total: int) -> None:
        super().__init__()
        self.total = total
        self.slow = 0
        self._unstored = 0
        self._unstored_of: Callable[[TenantId], int] = _none_of
        self._reserve = int(total * RESERVE_SHARE)
        self._for_unproven = max(1, int(total * UNPROVEN_SHARE))
        self._reserve_of_unproven = max(1, self._reserve)
        self._last = int(total * LAST_SHARE)
        self._few = min(FEW, max(FEW_AT_LEAST, int(self._last * FEW_OF_LAST)))

    def note_unstored(self, count: int, *, of_tenant: Callable[[TenantId], int]) -> None:
        """Note how many results are not stored yet: in all, and how to learn it of a tenant."""
        self._unstored, self._unstored_of = count, of_tenant

    @property
    def _left_to_unproven(self) -> int:
        """What unproven lanes may still hold, without the reserve; negative once that is used."""
        return self._for_unproven - self._reserve_of_unproven - self.unproven - self.slow

    def free_with_reserve(self, *, unproven: bool) -> int:
        """Free slots for lanes of this kind, the reserve included."""
        free = self.total - self.in_flight - self._unstored
        return min(free, self._for_unproven - self.unproven) if unproven else free

    def room_for(self, tenant: Tenant, *, unproven: bool) -> int:
        """How many more slots this tenant may take for lanes of this kind."""
        free = self.total - self._reserve - self.in_flight - self._unstored
        unstored = self._unstored_of(tenant.id) if self._unstored else 0
        held = tenant.in_flight + unstored
        # Results that are not stored yet do not hang: they come off what is free, not off this.
        before_last = free + self._unstored - self._last
        if unproven:
            free = min(free, self._left_to_unproven)
            held_for_long = tenant.unproven + tenant.slow + unstored
            room = TENANT_UNPROVEN.room(held=held_for_long, free=free)
        else:
            room = TENANT.room(held=held, free=free)
        if room > before_last:
            room = min(room, max(0, before_last, self._few - tenant.in_flight))
        if room == 0 and held == 0:
            return min(1, max(0, self.free_with_reserve(unproven=unproven)))
        return room


def _none_of(_: TenantId) -> int:
    return 0
