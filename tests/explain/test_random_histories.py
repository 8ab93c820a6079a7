"""After any history of changes, an explanation agrees with what the receiver has seen."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.explain.explainer import Explainer, UnknownObject
from daemon.runtime.offload import Offload
from daemon.store.event_data_reader import EventDataReader
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.receiver import Receiver

EXPLAINER = Explainer(timedelta(days=30), timedelta(days=90), EventDataReader(Offload()))
TYPES = ("email.sent", "email.opened", "contact.created")
SUBSCRIPTIONS = (None, ["email.*"], ["email.opened"], ["contact.created", "email.sent"])
WANTED = (None, "red", "blue")
STEPS = 40
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 12))]


@dataclass
class Subscription:
    """What a webhook wants; `paused` while it is."""

    types: list[str] | None
    colour: str | None
    paused: bool = False

    def outcome(self, event_type: str, colour: str) -> str:
        """What is to become of an event that comes now: a pause keeps only what is wanted."""
        if not self._takes(event_type):
            return "not_subscribed"
        if self.colour not in (None, colour):
            return "filtered"
        return "paused" if self.paused else "delivered"

    def _takes(self, event_type: str) -> bool:
        group = event_type.partition(".")[0]
        return self.types is None or event_type in self.types or f"{group}.*" in self.types


@dataclass
class History:
    """A tenant's webhooks, and what is expected of each event at each."""

    app: Application
    receiver: Receiver
    tenant: UUID
    chance: random.Random
    webhooks: dict[UUID, Subscription] = field(default_factory=dict)
    events: list[UUID] = field(default_factory=list)
    expected: dict[tuple[UUID, UUID], str] = field(default_factory=dict)

    async def step(self) -> None:
        """Do one thing, an event more often than any other."""
        steps: list[Callable[[], Any]] = [self.publish] * 3
        steps += [self.pause_or_resume, self.change_types, self.change_filter]
        steps += [self.create] if len(self.webhooks) < 6 else []
        await self.chance.choice(steps)()

    async def create(self) -> None:
        wanted = Subscription(self.chance.choice(SUBSCRIPTIONS), self.chance.choice(WANTED))
        webhook = await self.app.webhook(
            self.tenant,
            f"{self.receiver.url}/{len(self.webhooks)}",
            types=wanted.types,
            filters=filters(wanted.colour),
        )
        self.webhooks[webhook] = wanted
        self.expected |= {(each, webhook): "created_later" for each in self.events}

    async def publish(self) -> None:
        event_type, colour = self.chance.choice(TYPES), self.chance.choice(("red", "blue", "green"))
        event = await self.app.event(self.tenant, {"colour": colour}, type=event_type)
        self.events.append(event)
        for webhook, wanted in self.webhooks.items():
            self.expected[event, webhook] = wanted.outcome(event_type, colour)
        await until(self._is_settled)

    async def pause_or_resume(self) -> None:
        for webhook, wanted in self._some():
            wanted.paused = not wanted.paused
            await self._update(webhook, "is_active = $2", not wanted.paused)

    async def change_types(self) -> None:
        for webhook, wanted in self._some():
            wanted.types = self.chance.choice(SUBSCRIPTIONS)
            await self._update(webhook, "event_types = $2", wanted.types)

    async def change_filter(self) -> None:
        for webhook, wanted in self._some():
            wanted.colour = self.chance.choice(WANTED)
            found = filters(wanted.colour)
            text = None if found is None else orjson.dumps(found).decode()
            await self._update(webhook, "event_filters = $2", text)

    def delivered(self) -> set[tuple[str, str]]:
        """The pairs of path and event that are expected at the receiver."""
        paths = {webhook: f"/{number}" for number, webhook in enumerate(self.webhooks)}
        return {
            (paths[webhook], f"evt_{event.hex}")
            for (event, webhook), outcome in self.expected.items()
            if outcome == "delivered"
        }

    def _some(self) -> Iterable[tuple[UUID, Subscription]]:
        return self.chance.sample(list(self.webhooks.items()), k=min(1, len(self.webhooks)))

    async def _update(self, webhook: UUID, change: str, value: object) -> None:
        await self.app.db.execute(f"UPDATE webhooks SET {change} WHERE id = $1", webhook, value)

    async def _is_settled(self) -> bool:
        waits = await self.app.db.fetchval("SELECT EXISTS (SELECT FROM webhook_event_inbox)")
        return not waits and len(self.receiver.received) >= len(self.delivered())


def filters(colour: str | None) -> dict[str, Any] | None:
    return None if colour is None else {"filters": {"colour": colour}}


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_event_is_explained_at_each_webhook_as_it_was_then(
    app: Application, database: str, receiver: Receiver, seed: int
) -> None:
    history = History(app, receiver, await app.tenant(), random.Random(seed))
    async with serving(database):
        for _ in range(STEPS):
            await history.step()

    found = {}
    for event, webhook in history.expected:
        explained = await EXPLAINER.explain(
            app.lend, TenantId(history.tenant), EventId(event), WebhookId(webhook)
        )
        assert not isinstance(explained, UnknownObject)
        found[event, webhook] = explained.explanation.outcome.value
    assert {each.pair for each in receiver.received} == history.delivered()
    assert found == history.expected
