"""
Lanes in line, by tenant: tenants take turns, and so do the lanes of each.

Every operation takes the same time, however many tenants and lanes wait.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.endpoint_lane import Lane
from daemon.core.scheduling.slots import Tenant


@dataclass(slots=True)
class TenantLine:
    """The lanes of one tenant, waiting for its turn since `since`, its `order`-th in all lines."""

    tenant: Tenant
    order: int
    since: float
    lanes: OrderedDict[WebhookId, Lane] = field(default_factory=OrderedDict)


class TenantLines:
    """
    Lines of lanes of one kind, `to_claim` and `unproven` or not; an empty line is no line.

    `last_turn` is the number of the turn that one of them had last, -1 at first.
    """

    def __init__(self, *, unproven: bool, to_claim: bool = False) -> None:
        self.to_claim = to_claim
        self.unproven = unproven
        self.last_turn = -1
        self._lines: OrderedDict[TenantId, TenantLine] = OrderedDict()
        self._lanes = 0

    def __len__(self) -> int:
        """How many lanes wait."""
        return self._lanes

    @property
    def tenants(self) -> int:
        """How many tenants wait."""
        return len(self._lines)

    @property
    def first(self) -> TenantLine | None:
        """The line of the tenant whose turn is next."""
        for line in self._lines.values():
            return line
        return None

    @property
    def first_lane(self) -> Lane | None:
        """The lane whose turn is next."""
        return next(iter(self.first.lanes.values())) if self.first else None

    def add(self, lane: Lane, *, order: int, now: float) -> None:
        """Put a lane at the end of its tenant's line, and a tenant that is new to the end."""
        line = self._lines.get(lane.tenant.id)
        if line is None:
            line = self._lines[lane.tenant.id] = TenantLine(lane.tenant, order, now)
        line.lanes[lane.webhook_id] = lane
        lane.line = self
        self._lanes += 1

    def take(self, *, order: int, now: float) -> Lane:
        """Remove the first tenant's first lane; the tenant's other lanes wait for its next turn."""
        line = next(iter(self._lines.values()))
        _, lane = line.lanes.popitem(last=False)
        lane.line = None
        self._lanes -= 1
        if line.lanes:
            line.order, line.since = order, now
            self._lines.move_to_end(line.tenant.id)
        else:
            del self._lines[line.tenant.id]
        return lane

    def remove(self, lane: Lane) -> None:
        """Take a lane out of its line."""
        line = self._lines[lane.tenant.id]
        del line.lanes[lane.webhook_id]
        lane.line = None
        self._lanes -= 1
        if not line.lanes:
            del self._lines[lane.tenant.id]

    def pass_over(self) -> None:
        """Put the first tenant's line at the end."""
        self._lines.move_to_end(next(iter(self._lines)))

    def set_aside(self) -> TenantLine:
        """Remove the first tenant's line, until `restore` puts it back in front."""
        _, line = self._lines.popitem(last=False)
        return line

    def restore(self, line: TenantLine) -> None:
        """Put back in front what was set aside."""
        self._lines[line.tenant.id] = line
        self._lines.move_to_end(line.tenant.id, last=False)
