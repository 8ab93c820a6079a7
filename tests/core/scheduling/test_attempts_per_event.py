"""A tenant whose events go to many webhooks makes its own turns shorter, and no others."""

from uuid import uuid4

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.attempts_per_event import (
    MOST_TENANTS,
    RECENT_SECONDS,
    AttemptsPerEvent,
)

WIDE, NARROW, OTHER = (TenantId(uuid4()) for _ in range(3))


def test_one_tenant_s_wide_events_are_not_typical_beside_others() -> None:
    means = AttemptsPerEvent()
    for _ in range(10):
        means.note(WIDE, attempts=900, events=10, now=0.0)
    alone = means.typical(now=0.0)
    means.note(NARROW, attempts=10, events=5, now=0.0)

    assert (alone, means.typical(now=0.0)) == (90.0, 2.0)
    assert (means.of(WIDE), means.of(NARROW), means.of(OTHER)) == (90.0, 2.0, 1.0)


def test_tenants_without_events_of_late_do_not_count() -> None:
    means = AttemptsPerEvent()
    means.note(NARROW, attempts=1, events=1, now=0.0)
    means.note(WIDE, attempts=90, events=1, now=RECENT_SECONDS + 0.1)

    assert means.typical(now=RECENT_SECONDS + 0.1) == 90.0
    assert means.typical(now=100.0) == 1.0


def test_a_mean_follows_the_last_events_and_is_one_at_least() -> None:
    means = AttemptsPerEvent()
    means.note(WIDE, attempts=90, events=1, now=0.0)
    for _ in range(20):
        means.note(WIDE, attempts=0, events=5, now=0.0)

    assert means.of(WIDE) == 1.0


def test_it_forgets_the_tenants_whose_events_came_longest_ago() -> None:
    means = AttemptsPerEvent()
    means.note(WIDE, attempts=90, events=1, now=0.0)
    for _ in range(MOST_TENANTS):
        means.note(TenantId(uuid4()), attempts=1, events=1, now=0.0)

    assert means.of(WIDE) == 1.0
