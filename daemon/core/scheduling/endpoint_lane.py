"""One endpoint's lane: when it is due, how many attempts it may have in flight, how quick it is."""

from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

from daemon.core.model.ids import WebhookId
from daemon.core.model.value import value
from daemon.core.scheduling.slots import Tenant

if TYPE_CHECKING:
    from daemon.core.scheduling.host_shares import Host
    from daemon.core.scheduling.tenant_lines import TenantLines

FIRST_WINDOW = 2.0
SLOW_MS = 1000.0
NEWEST_WEIGHT = 0.3  # of the newest duration in the running mean
# First attempts wait in memory for as many milliseconds, in a lane that goes on as it did lately.
QUEUE_MS = 200.0
SHORTEST_MS = 0.5
MOST_QUEUED = 512


@value(frozen=True, slots=True)
class NextDue:
    """
    When the next attempt of a lane is due, in seconds on the caller's clock.

    `since` is its due time in the database, from which a claim may begin to look; None if unknown.
    """

    due_at: float
    since: datetime | None


NOTHING_DUE = NextDue(inf, None)


def earlier(one: NextDue, other: NextDue) -> NextDue:
    """The earlier time, and the earlier `since`, from which a claim finds both."""
    if inf in (one.due_at, other.due_at):
        return other if one.due_at == inf else one
    since = None if one.since is None or other.since is None else min(one.since, other.since)
    return NextDue(min(one.due_at, other.due_at), since)


@dataclass(slots=True)
class Lane:
    """
    What one daemon knows of an endpoint.

    `window` bounds the attempts in flight: it opens by one with every success and halves with every
    failure. After an outage, which narrows it to one, it doubles with every success, up to its
    former width. `spaced_until` is when the next attempt may begin while the endpoint is failing or
    at its limit; `full` says that this is the limit of attempts in flight. While a claim is under
    way (`claiming`), what is heard of the lane is kept apart, and the `claimable` attempts hold
    slots already. `queued` first attempts wait in memory, and need no claim; `claimed_last` says
    whether its last turn was for one. Slots of an `unproven` lane may not come back soon: it has
    never answered, is slow, or failed the last time; nor may those of `slow_in_flight` attempts,
    which have gone on for over a second. `host` is None until its address is known; `line` is where
    the lane waits.
    """

    webhook_id: WebhookId
    tenant: Tenant
    window: float = FIRST_WINDOW
    next_due: NextDue = NOTHING_DUE
    heard_while_claiming: NextDue = NOTHING_DUE
    claiming: bool = False
    in_flight: int = 0
    slow_in_flight: int = 0
    mean_ms: float = 0.0
    rests_until: float = -inf
    spaced_until: float = -inf
    spacing_heard_while_claiming: float | None = None
    full: bool = False
    width_before_failures: float | None = None
    reopens_to: float = 0.0
    claimable: int = 0
    queued: int = 0
    claimed_last: bool = False
    known: bool = False
    unproven: bool = True
    host: "Host | None" = None
    line: "TenantLines | None" = None

    @property
    def held(self) -> int:
        """The slots that it holds."""
        return self.in_flight + self.claimable

    @property
    def slow(self) -> bool:
        """Whether its attempts take over a second on average."""
        return self.mean_ms > SLOW_MS

    @property
    def free(self) -> int:
        """How many more attempts may be in flight."""
        return max(0, int(self.window) - self.in_flight)

    @property
    def due_at(self) -> float:
        """When it may have a turn, in seconds on the caller's clock; infinite when empty."""
        due_at = -inf if self.queued else self.next_due.due_at
        return max(due_at, self.rests_until, self.spaced_until)

    @property
    def idle(self) -> bool:
        """Whether nothing is lost by forgetting it."""
        busy = self.claiming or self.in_flight or self.queued
        return not busy and self.next_due.due_at == inf

    def needs_claim(self, *, now: float) -> bool:
        """Whether its next turn is for attempts in the database: queued ones take every other."""
        return not self.queued or (self.next_due.due_at <= now and not self.claimed_last)

    def may_begin(self, *, now: float) -> bool:
        """Whether a first attempt may begin at once: there is room, and nothing waits before it."""
        return not (
            self.queued
            or self.claiming
            or self.in_flight >= int(self.window)
            or self.next_due.due_at <= now
            or self.rests_until > now
            or self.spaced_until > now
        )

    def room(self, *, now: float) -> int:
        """Free places; for a claim 0 until a quarter of the window is free: one costs too much."""
        if self.needs_claim(now=now) and self.free < int(self.window) // 4:
            return 0
        return self.free

    def queue_room(self, *, now: float) -> int:
        """How many more first attempts of a quick lane may wait in memory: they begin soon."""
        soon = self.window * QUEUE_MS / max(self.mean_ms, SHORTEST_MS)
        if self.next_due.due_at <= now:
            soon /= 2
        return int(min(MOST_QUEUED, max(self.window, soon))) - self.queued

    def knows(self, due: NextDue, *, now: float) -> bool:
        """Whether it is due by that time, from the same attempt on or an earlier one."""
        known = self.next_due.since
        covered = known is None or (due.since is not None and known <= due.since)
        claimed_at = max(self.next_due.due_at, self.rests_until, self.spaced_until)
        return covered and not self.claiming and claimed_at <= max(due.due_at, now)

    def hear(self, due: NextDue) -> None:
        """Note that an attempt is due."""
        if self.claiming:
            self.heard_while_claiming = earlier(self.heard_while_claiming, due)
        else:
            self.next_due = earlier(self.next_due, due)

    def hear_spacing(self, until: float) -> None:
        """Note when the next attempt may begin."""
        self.spaced_until = until
        if self.claiming:
            self.spacing_heard_while_claiming = until

    def end_claim(self) -> None:
        """Take in what was heard during the claim."""
        self.claiming = False
        if self.spacing_heard_while_claiming is not None:
            self.spaced_until = self.spacing_heard_while_claiming
            self.spacing_heard_while_claiming = None
        self.hear(self.heard_while_claiming)
        self.heard_while_claiming = NOTHING_DUE

    def record(self, took_ms: float, *, delivered: bool, widest: int) -> None:
        """Learn from the result of an attempt."""
        weight = NEWEST_WEIGHT if self.known else 1.0
        self.known = True
        self.mean_ms += weight * (took_ms - self.mean_ms)
        self.unproven = self.slow or not delivered
        if not delivered:
            self._narrow()
        elif self.window != widest or self.width_before_failures is not None:
            self._open(widest)

    def _open(self, widest: int) -> None:
        self.width_before_failures = None
        self.window = min(widest, max(self.window + 1, min(2 * self.window, self.reopens_to)))

    def _narrow(self) -> None:
        if self.width_before_failures is None:
            self.width_before_failures = self.window
        self.window = max(1.0, self.window / 2)
        # An endpoint that is overloaded rather than down opens slowly.
        self.reopens_to = self.width_before_failures if self.window == 1.0 else 0.0
