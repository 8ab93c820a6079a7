"""The bytes that replays and retries copy, by tenant and day."""

from uuid import uuid4

import pytest

from daemon.core.model.ids import TenantId
from daemon.core.scheduling import copy_quota
from daemon.core.scheduling.copy_quota import DAY_SECONDS, CopyQuota

ONE, OTHER = TenantId(uuid4()), TenantId(uuid4())


def test_a_days_amount_is_copied_at_once_and_what_exceeds_it_is_waited_for() -> None:
    quota = CopyQuota(1000)

    quota.note(ONE, 1000, now=0.0)
    at_the_limit = quota.wait(ONE, now=0.0)
    quota.note(ONE, 500, now=0.0)

    assert at_the_limit == 0.0
    assert quota.wait(ONE, now=0.0) == pytest.approx(DAY_SECONDS / 2)
    assert quota.wait(ONE, now=DAY_SECONDS / 4) == pytest.approx(DAY_SECONDS / 4)
    assert quota.wait(ONE, now=DAY_SECONDS / 2) == pytest.approx(0.0)
    assert quota.wait(OTHER, now=0.0) == 0.0


def test_room_does_not_add_up_over_days() -> None:
    quota = CopyQuota(1000)
    quota.note(ONE, 100, now=0.0)

    quota.note(ONE, 2000, now=9 * DAY_SECONDS)

    assert quota.wait(ONE, now=9 * DAY_SECONDS) == pytest.approx(DAY_SECONDS)


def test_zero_is_no_limit() -> None:
    quota = CopyQuota(0)

    quota.note(ONE, 10**15, now=0.0)

    assert quota.wait(ONE, now=0.0) == 0.0


def test_only_so_many_tenants_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_quota, "MOST_TENANTS", 2)
    quota = CopyQuota(1000)

    for tenant in (ONE, OTHER, TenantId(uuid4())):
        quota.note(tenant, 2000, now=0.0)

    assert quota.wait(ONE, now=0.0) == 0.0
    assert quota.wait(OTHER, now=0.0) > 0.0
