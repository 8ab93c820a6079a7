"""
Who appears in the demo: two customers, their endpoints with their habits, and what they send.

All of it goes into the database as the main application would put it there, by plain inserts.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from uuid import UUID, uuid4

from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.wire.event_ids import public_event_id
from daemon.store.session import Connection

# How an endpoint answers the n-th event that comes to it (from 1), at this try (from 1).
Habit = Callable[[int, int], int]


def steady(_event: int, _attempt: int) -> int:
    return 200


def stumbling(event: int, attempt: int) -> int:
    """Every third event needs a second try, now and then one needs a third."""
    if event % 7 == 5 and attempt <= 2:
        return 502
    return 503 if event % 3 == 2 and attempt == 1 else 200


def broken(_event: int, _attempt: int) -> int:
    return 500


@dataclass(slots=True)
class Endpoint:
    """One webhook of the show; `told` is what is said of it, `habit` how it answers."""

    path: str
    name: str
    told: str
    habit: Habit = steady
    types: list[str] | None = None
    filters: dict[str, Any] | None = None
    id: UUID = field(default_factory=uuid4)
    secret: str = field(default_factory=lambda: f"whsec_{secrets.token_hex(32)}")


@dataclass(frozen=True, slots=True)
class Customer:
    """One tenant with its endpoints."""

    name: str
    endpoints: tuple[Endpoint, ...]
    id: UUID = field(default_factory=uuid4)


UNSUBSCRIBED = ["email.unsubscribed", "contact.unsubscribed"]


def make_cast() -> tuple[Customer, ...]:
    """A fresh cast, with ids and secrets of its own."""
    vip = {
        "event_types": ["email.opened", "email.clicked"],
        "filters": {"contact.tags": ["vip", "premium"]},
    }
    acme = (
        Endpoint("/crm", "CRM Contact Sync", "every event of the 13 types"),
        Endpoint("/stats", "Click Stats", "email.*; stumbles", stumbling, ["email.*"]),
        Endpoint(
            "/vip", "VIP Desk", "email.opened and email.clicked of contacts tagged vip", filters=vip
        ),
        Endpoint("/erp", "Old ERP", "email.*; is down", broken, ["email.*"]),
    )
    globex = (
        Endpoint("/bot", "Campaign Bot", "campaign.*", types=["campaign.*"]),
        Endpoint("/consent", "Consent Ledger", " and ".join(UNSUBSCRIBED), types=UNSUBSCRIBED),
    )
    return Customer("Acme Outreach", acme), Customer("Globex Mailing", globex)


# A person, and whether that is a VIP.
PEOPLE = (
    ("Sarah", "Johnson", True),
    ("Amir", "Haddad", False),
    ("Noor", "de Vries", True),
    ("José", "Ramírez", False),
    ("Yuki", "Tanaka", False),
)


@dataclass(frozen=True, slots=True)
class Published:
    """An event as it is given to the database; `data` is JSON text."""

    id: UUID
    tenant_id: UUID
    type: str
    data: str

    @property
    def public_id(self) -> str:
        return public_event_id(self.id)


def script(cast: tuple[Customer, ...]) -> Iterator[Published]:
    """Events without end: all 13 types in turn, of one customer and now and then of another."""
    for turn, event_type in enumerate(cycle(EVENT_TYPES)):
        yield _event(cast[0], event_type.name, turn)
        if event_type.name.endswith((".launched", ".unsubscribed")):
            yield _event(cast[1], event_type.name, turn)


def _event(customer: Customer, event_type: str, turn: int) -> Published:
    data = sample_data(event_type)
    first, last, is_vip = PEOPLE[turn % len(PEOPLE)]
    if "contact" in data:
        data["contact"] |= {"first_name": first, "last_name": last}
        data["contact"]["tags"] = ["vip"] if is_vip else ["newsletter"]
    if "email_id" in data:
        data["email_id"] = f"msg_{secrets.token_hex(4)}"
    return Published(uuid4(), customer.id, event_type, json.dumps(data, ensure_ascii=False))


TENANT = "INSERT INTO tenants (id, name) VALUES ($1, $2)"
WEBHOOK = """
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key, event_types, event_filters)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
EVENT = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)
    VALUES ($1, $2, $3, $4, now())
"""


async def enter(db: Connection, cast: tuple[Customer, ...], receiver_url: str) -> None:
    """Make the tenants and their webhooks."""
    for customer in cast:
        await db.execute(TENANT, customer.id, customer.name)
        for endpoint in customer.endpoints:
            await db.execute(
                WEBHOOK,
                endpoint.id,
                customer.id,
                endpoint.name,
                receiver_url + endpoint.path,
                endpoint.secret,
                endpoint.types,
                None if endpoint.filters is None else json.dumps(endpoint.filters),
            )


async def publish(db: Connection, event: Published) -> None:
    """The publish API of the contract, section 2: one insert."""
    await db.execute(EVENT, event.id, event.tenant_id, event.type, event.data)
