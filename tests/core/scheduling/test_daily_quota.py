"""What owners may have in a day, such as the bytes that replays copy for a tenant."""

from uuid import uuid4

import pytest

from daemon.core.model.ids import TenantId
from daemon.core.scheduling import daily_quota
from daemon.core.scheduling.daily_quota import DAY_SECONDS, DailyQuota

ONE, OTHER = TenantId(uuid4()), TenantId(uuid4())


def test_a_days_amount_is_had_at_once_and_what_exceeds_it_is_waited_for() -> None:
    quota = DailyQuota(1000)

    quota.note(ONE, 1000, now=0.0)
    at_the_limit = quota.wait(ONE, now=0.0)
    quota.note(ONE, 500, now=0.0)

    assert at_the_limit == 0.0
    assert quota.wait(ONE, now=0.0) == pytest.approx(DAY_SECONDS / 2)
    assert quota.wait(ONE, now=DAY_SECONDS / 4) == pytest.approx(DAY_SECONDS / 4)
    assert quota.wait(ONE, now=DAY_SECONDS / 2) == pytest.approx(0.0)
    assert quota.wait(OTHER, now=0.0) == 0.0


def test_an_amount_that_is_known_before_is_had_only_within_the_days() -> None:
    quota = DailyQuota(2)

    waits = []
    for _ in range(3):
        waits.append(quota.wait(ONE, 1, now=0.0))
        quota.note(ONE, 1, now=0.0)

    assert waits == [0.0, 0.0, DAY_SECONDS / 2]


def test_room_does_not_add_up_over_days() -> None:
    quota = DailyQuota(1000)
    quota.note(ONE, 100, now=0.0)

    quota.note(ONE, 2000, now=9 * DAY_SECONDS)

    assert quota.wait(ONE, now=9 * DAY_SECONDS) == pytest.approx(DAY_SECONDS)


def test_zero_is_no_limit() -> None:
    quota = DailyQuota(0)

    quota.note(ONE, 10**15, now=0.0)

    assert quota.wait(ONE, now=0.0) == 0.0


def test_only_so_many_owners_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily_quota, "MOST_OWNERS", 2)
    quota = DailyQuota(1000)

    for tenant in (ONE, OTHER, TenantId(uuid4())):
        quota.note(tenant, 2000, now=0.0)

    assert quota.wait(ONE, now=0.0) == 0.0
    assert quota.wait(OTHER, now=0.0) > 0.0
