"""A dispatcher in simulated time: endpoints answer after as long as a test decides."""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from statistics import quantiles

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.attempt_ages import SLOW_SECONDS, AttemptAges
from daemon.core.scheduling.endpoint_lane import NOTHING_DUE
from daemon.core.scheduling.lanes import Lanes
from tests.core.scheduling.driven_lanes import at, endpoint, tenant

TIMEOUT = 5.0

# From the time of a request to the seconds until its answer; None is no answer.
Answer = Callable[[float], float | None]


def hanging(_: float) -> None:
    """Never answer."""


def quick(_: float) -> float:
    """Answer after 10 ms."""
    return 0.01


def slow(_: float) -> float:
    """Answer after two seconds."""
    return 2.0


def down_from(seconds: float) -> Answer:
    """Answer after 10 ms before this time, and never afterwards."""
    return lambda now: quick(now) if now < seconds else None


@dataclass
class Webhook:
    """An endpoint, the times of its due events, and how long each waited for its slot."""

    id: WebhookId
    tenant_id: TenantId
    host: str | None
    answer: Answer
    due: deque[float] = field(default_factory=deque)
    waits: list[float] = field(default_factory=list)

    def p95_ms(self) -> float:
        """The 95th percentile of the waits."""
        return quantiles(self.waits, n=20, method="inclusive")[-1] * 1000


class Simulation:
    """Lanes, their webhooks, and what happens next."""

    def __init__(self, *, slots: int = 500, widest: int = 32, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self.lanes = Lanes(slots=slots, widest=widest)
        self.now = 0.0
        self.most_in_flight: dict[TenantId, int] = defaultdict(int)
        self._in_flight: dict[TenantId, int] = defaultdict(int)
        self._webhooks: dict[WebhookId, Webhook] = {}
        self._happenings: list[tuple[float, int, Callable[[], None]]] = []
        self._orders = count()
        self._ages = AttemptAges()

    def webhook(self, of: int, answer: Answer, *, host: str | None = None) -> Webhook:
        """Add a webhook of this tenant; the lanes know its host once it was called."""
        added = Webhook(endpoint(len(self._webhooks) + 1), tenant(of), host, answer)
        self._webhooks[added.id] = added
        return added

    def events(
        self, webhook: Webhook, *, every: float, begin: float = 0.0, until: float | None = None
    ) -> None:
        """Let an event be due for the webhook every so often, or once without `until`."""
        for n in range(1 if until is None else int((until - begin) / every) + 1):
            self._at(begin + n * every, lambda: self._arrive(webhook))

    def run(self, until: float) -> None:
        """Let everything happen that happens before this time."""
        while self._happenings and self._happenings[0][0] <= until:
            self.now, _, happen = heappop(self._happenings)
            happen()
            while self._happenings and self._happenings[0][0] == self.now:
                heappop(self._happenings)[2]()
            self._dispatch()
        self.now = until

    def _at(self, seconds: float, happen: Callable[[], None]) -> None:
        heappush(self._happenings, (seconds, next(self._orders), happen))

    def _arrive(self, webhook: Webhook) -> None:
        webhook.due.append(self.now)
        self.lanes.mark_due(
            *(webhook.id, self.now, at(self.now)), tenant_id=webhook.tenant_id, now=self.now
        )

    def _dispatch(self) -> None:
        for webhook_id in self._ages.take_slow(now=self.now):
            self.lanes.slowed(webhook_id)
        while turns := self.lanes.next_turns(
            now=self.now, room=self.lanes.slots - self.lanes.in_flight
        ):
            for turn in turns:
                webhook = self._webhooks[turn.webhook_id]
                taken = [webhook.due.popleft() for _ in range(min(turn.limit, len(webhook.due)))]
                self.lanes.claimed(
                    turn,
                    taken=len(taken),
                    last_due=at(taken[-1]) if taken else None,
                    upcoming=NOTHING_DUE,
                    now=self.now,
                )
                for due in taken:
                    self._begin(webhook, due)

    def _begin(self, webhook: Webhook, due: float) -> None:
        webhook.waits.append(self.now - due)
        self._in_flight[webhook.tenant_id] += 1
        self.most_in_flight[webhook.tenant_id] = max(
            self.most_in_flight[webhook.tenant_id], self._in_flight[webhook.tenant_id]
        )
        seconds = webhook.answer(self.now)
        took = self._timeout if seconds is None else seconds
        key = next(self._orders)
        self._ages.begin(key, webhook.id, now=self.now)
        if took > SLOW_SECONDS:
            self._at(self.now + SLOW_SECONDS, lambda: None)  # the dispatcher looks
        self._at(self.now + took, lambda: self._end(webhook, took, seconds is not None, key))

    def _end(self, webhook: Webhook, took: float, delivered: bool, key: int) -> None:
        self._in_flight[webhook.tenant_id] -= 1
        self.lanes.finished(
            webhook.id,
            took_ms=took * 1000,
            delivered=delivered,
            now=self.now,
            host=webhook.host,
            was_slow=self._ages.end(key),
        )
