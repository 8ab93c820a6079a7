"""All attacks, by name."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from tests.faults.attacks import api_attacks, endpoint_attacks, event_attacks, number_attacks
from tests.faults.attacks.scene import Scene
from tests.faults.attacks.table import MAX_P95_MS


@dataclass(frozen=True, slots=True)
class Attack:
    """
    One attack.

    With `by_name`, endpoints have names, and the daemon uses a name server on loopback. The healthy
    endpoints respond after `reply_seconds`.
    """

    description: str
    run: Callable[[Scene], Awaitable[None]]
    max_p95_ms: float = MAX_P95_MS
    by_name: bool = False
    reply_seconds: float = 0.0


ATTACKS = {
    "exploding-numbers": Attack(
        "1,000 events {a: [1e131071, 10,000 times]}: a gigabyte each where it is printed",
        event_attacks.exploding_numbers,
    ),
    "doubles": Attack("20 events [1e308, 400,000 times]", event_attacks.doubles),
    "large-bodies": Attack(
        "16 events of 4 MB, stored in a few kB, for 32 webhooks that respond after 4.5 s",
        partial(event_attacks.large_bodies, text="x" * 4_000_000),
    ),
    "megabyte-bodies": Attack(
        "16 events of 1 MB that do not compress, for 32 webhooks that respond after 4.5 s",
        partial(event_attacks.large_bodies, text=event_attacks.random_text(1_000_000)),
    ),
    "nested-events": Attack(
        "events of 4 and 8 MB that are arrays in arrays, one a second, of three tenants",
        event_attacks.nested_events,
    ),
    "costly-filters": Attack(
        "10 webhooks with filters of 100 paths, 50 events of 0.6 MB", event_attacks.costly_filters
    ),
    "many-events": Attack(
        "100,000 events of one tenant in one transaction", number_attacks.many_events
    ),
    "many-tenants": Attack(
        "100,000 events of as many tenants in one transaction", number_attacks.many_tenants
    ),
    "new-tenants": Attack(
        "40,000 events in one transaction, of as many tenants with a new webhook each",
        number_attacks.new_tenants,
    ),
    "retries-of-many": Attack(
        "20,000 retries of as many tenants, due at one moment", number_attacks.retries_of_many
    ),
    "one-hash": Attack(
        "10,000 webhooks of one tenant whose ids have one hash in Python, a retry due for each",
        number_attacks.one_hash,
    ),
    "many-filters": Attack(
        "10,000 webhooks of one tenant with a filter each, 50 events/s that match three",
        number_attacks.many_filters,
        max_p95_ms=50.0,
    ),
    "large-filters": Attack(
        "500 webhooks of each of three tenants with filters of 1,860 values, one of 100 types",
        number_attacks.large_filters,
    ),
    "many-webhooks": Attack("one event for 10,000 webhooks", number_attacks.many_webhooks),
    "empty-statistics": Attack(
        "40,000 events, after the inbox was analysed while it was empty",
        number_attacks.empty_statistics,
    ),
    "hanging-webhooks": Attack(
        "one event for 600 new webhooks that never respond", endpoint_attacks.hanging
    ),
    "host-down": Attack(
        "600 quick webhooks of 60 tenants on one host, which goes down", endpoint_attacks.host_down
    ),
    "colluding-tenants": Attack(
        "240 quick webhooks of 30 tenants that all begin to hang; healthy ones take 0.1 s",
        endpoint_attacks.colluding,
        reply_seconds=0.1,
    ),
    "slow-webhooks": Attack(
        "20 events/s for 90 webhooks that respond after 0.1 s", endpoint_attacks.slow
    ),
    "fading-names": Attack(
        "900 webhooks whose names resolved once, and never again",
        endpoint_attacks.fading_names,
        by_name=True,
    ),
    "dead-names": Attack(
        "five events for 300 webhooks whose names never resolve",
        endpoint_attacks.dead_names,
        by_name=True,
    ),
    "pending-deliveries": Attack(
        "a million pending deliveries of 10,000 webhooks, 1,000 of them paused",
        number_attacks.pending_deliveries,
    ),
    "floods": Attack(
        "20 events for 100 webhooks whose responses never end", endpoint_attacks.floods
    ),
    "slow-certificates": Attack(
        "3 events for 5 webhooks of each of 20 tenants, whose certificates take seconds to read",
        endpoint_attacks.slow_certificates,
    ),
    "failing-endpoint": Attack(
        "20,000 events for one endpoint that responds with 500", endpoint_attacks.failing
    ),
    "api-requests": Attack(
        "50 clients of one tenant send API requests without a pause", api_attacks.requests
    ),
    "unread-responses": Attack(
        "400 clients ask for the API's longest responses and read nothing",
        api_attacks.unread_responses,
    ),
    "tiny-chunks": Attack(
        "40 clients send the API bodies of 400,000 chunks of a byte", api_attacks.tiny_chunks
    ),
}
