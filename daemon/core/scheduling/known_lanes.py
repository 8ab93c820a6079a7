"""What one daemon remembers of lanes, their tenants and their hosts, and the slots they hold."""

from collections.abc import Collection, Iterator

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.endpoint_lane import FIRST_WINDOW, Lane
from daemon.core.scheduling.host_shares import Host
from daemon.core.scheduling.slots import Slots, Tenant

MAX_LANES = 20_000


class KnownLanes:
    """The lanes by webhook; whatever a lane holds is counted for its tenant and host, too."""

    def __init__(self, slots: Slots, *, widest: int) -> None:
        self._slots = slots
        self._widest = widest
        self._lanes: dict[WebhookId, Lane] = {}
        self._tenants: dict[TenantId, Tenant] = {}
        self._hosts: dict[str, Host] = {}

    def __getitem__(self, webhook_id: WebhookId) -> Lane:
        return self._lanes[webhook_id]

    def get(self, webhook_id: WebhookId) -> Lane | None:
        """The lane of this webhook, if it is known."""
        return self._lanes.get(webhook_id)

    def of_tenants(self, tenants: Collection[TenantId]) -> Iterator[Lane]:
        """The lanes of these tenants that are known; reads all lanes, if there are any tenants."""
        if tenants:
            yield from [each for each in self._lanes.values() if each.tenant.id in tenants]

    def get_or_make(self, webhook_id: WebhookId, tenant_id: TenantId, *, failing: bool) -> Lane:
        """The lane of this webhook; a new one that is `failing` begins narrow."""
        lane = self._lanes.get(webhook_id)
        if lane is None:
            tenant = self._tenants.get(tenant_id)
            if tenant is None:
                tenant = self._tenants[tenant_id] = Tenant(id=tenant_id)
            window = min(self._widest, 1.0 if failing else FIRST_WINDOW)
            lane = self._lanes[webhook_id] = Lane(webhook_id, tenant, window)
        return lane

    def hold(self, lane: Lane, change: int) -> None:
        """Count so many more slots that this lane holds, or fewer if it is negative."""
        if change == 0:
            return
        of_unproven = change if lane.unproven else 0
        for held in (self._slots, lane.tenant, lane.host):
            if held is not None:
                held.in_flight += change
                held.unproven += of_unproven

    def record(self, lane: Lane, took_ms: float, *, delivered: bool) -> None:
        """Learn from the result of an attempt; what the lane holds may be unproven from now on."""
        was_unproven = lane.unproven
        lane.record(took_ms, delivered=delivered, widest=self._widest)
        if lane.unproven is was_unproven:
            return
        change = lane.held if lane.unproven else -lane.held
        for held in (self._slots, lane.tenant, lane.host):
            if held is not None:
                held.unproven += change
        self._count_slow(lane, -lane.slow_in_flight if lane.unproven else lane.slow_in_flight)

    def begin_slow(self, lane: Lane) -> None:
        """Note that one of its attempts in flight has become slow."""
        lane.slow_in_flight += 1
        if not lane.unproven:
            self._count_slow(lane, 1)

    def end_slow(self, lane: Lane) -> None:
        """Note that one of its slow attempts ends; `hold` counts its slot."""
        lane.slow_in_flight -= 1
        if not lane.unproven:
            self._count_slow(lane, -1)

    def _count_slow(self, lane: Lane, change: int) -> None:
        """Count slow attempts of a lane that is not unproven: those of others are that anyway."""
        self._slots.slow += change
        lane.tenant.slow += change

    def move(self, lane: Lane, key: str) -> None:
        """Note that a lane's attempts go to the host with this address from now on."""
        self.hold(lane, -lane.held)
        lane.host = self._hosts.get(key) or Host(key=key)
        self._hosts[key] = lane.host
        self.hold(lane, lane.held)

    def forget_idle(self) -> None:
        """Bound the memory: an idle lane is made again when something is due in it."""
        if len(self._lanes) > MAX_LANES:
            self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.idle}
            lanes = self._lanes.values()
            self._tenants = {lane.tenant.id: lane.tenant for lane in lanes}
        if len(self._hosts) > MAX_LANES:
            hosts = (lane.host for lane in self._lanes.values())
            self._hosts = {host.key: host for host in hosts if host is not None}
