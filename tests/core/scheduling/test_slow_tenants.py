"""Which tenants are read apart from others, and for how long."""

from uuid import UUID

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.slow_tenants import (
    FIRST_SECONDS,
    MOST_SECONDS,
    MOST_TENANTS,
    SlowTenants,
)

SLOW, QUICK = 0.02, 0.001
TENANT, OTHER = TenantId(UUID(int=1)), TenantId(UUID(int=2))


def slow_tenants() -> SlowTenants:
    return SlowTenants(slow_from=SLOW)


def test_a_tenant_is_slow_for_a_while_after_it_took_long() -> None:
    tenants = slow_tenants()

    tenants.note(TENANT, SLOW, now=0.0)
    tenants.note(OTHER, QUICK, now=0.0)

    assert tenants.all(now=FIRST_SECONDS) == [TENANT]
    assert tenants.is_slow(TENANT, now=FIRST_SECONDS)
    assert not tenants.is_slow(OTHER, now=0.0)
    assert not tenants.is_slow(TENANT, now=FIRST_SECONDS + 1)
    assert tenants.all(now=FIRST_SECONDS + 1) == []


def test_what_is_slow_apart_from_others_is_remembered_from_then_on() -> None:
    tenants = slow_tenants()

    tenants.note(TENANT, SLOW, now=0.0)
    tenants.note(TENANT, SLOW, now=FIRST_SECONDS / 2)

    assert tenants.is_slow(TENANT, now=1.5 * FIRST_SECONDS)
    assert not tenants.is_slow(TENANT, now=1.5 * FIRST_SECONDS + 1)


def test_a_tenant_that_is_slow_again_is_remembered_for_longer_each_time() -> None:
    tenants = slow_tenants()
    now, times = 0.0, []
    for _ in range(6):
        tenants.note(TENANT, SLOW, now=now)
        began = now
        while tenants.is_slow(TENANT, now=now):
            now += 1.0
        times.append(now - began - 1)

    assert times == [min(FIRST_SECONDS * 2**time, MOST_SECONDS) for time in range(6)]


def test_a_tenant_that_was_quick_for_long_begins_anew() -> None:
    tenants = slow_tenants()
    tenants.note(TENANT, SLOW, now=0.0)
    later = 2 * FIRST_SECONDS + 1

    tenants.note(TENANT, SLOW, now=later)

    assert not tenants.is_slow(TENANT, now=later + FIRST_SECONDS + 1)


def test_a_bounded_number_is_remembered_and_the_latest_are() -> None:
    tenants = slow_tenants()

    for number in range(MOST_TENANTS + 5):
        tenants.note(TenantId(UUID(int=number)), SLOW, now=0.0)

    assert tenants.all(now=0.0) == [TenantId(UUID(int=5 + each)) for each in range(MOST_TENANTS)]
