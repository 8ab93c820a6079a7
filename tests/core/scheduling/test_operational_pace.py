"""Operational events of one tenant and type: a hundred in a minute, whatever the others do."""

from uuid import UUID

import pytest

from daemon.core.model.ids import TenantId
from daemon.core.scheduling import operational_pace
from daemon.core.scheduling.operational_pace import (
    MOST_PER_MINUTE,
    WINDOW_SECONDS,
    OperationalPace,
)

A, B = TenantId(UUID(int=1)), TenantId(UUID(int=2))


def test_a_tenant_has_its_share_of_each_minute_from_the_first_event_of_a_type_on() -> None:
    pace = OperationalPace()
    assert pace.left(A, "x", now=5.0) == MOST_PER_MINUTE
    assert pace.ends_in(A, "x", now=5.0) == 0.0

    pace.sent(A, "x", 40, now=5.0)
    pace.sent(A, "x", MOST_PER_MINUTE - 40, now=10.0)

    assert pace.left(A, "x", now=10.0) == 0
    assert pace.ends_in(A, "x", now=10.0) == WINDOW_SECONDS - 5.0
    assert pace.left(A, "y", now=10.0) == pace.left(B, "x", now=10.0) == MOST_PER_MINUTE
    assert pace.left(A, "x", now=5.0 + WINDOW_SECONDS) == MOST_PER_MINUTE
    pace.sent(A, "x", 1, now=5.0 + WINDOW_SECONDS)
    assert pace.left(A, "x", now=6.0 + WINDOW_SECONDS) == MOST_PER_MINUTE - 1


def test_of_many_windows_the_first_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operational_pace, "MOST_WINDOWS", 2)
    pace = OperationalPace()
    for event_type in ("x", "y", "z"):
        pace.sent(A, event_type, 1, now=0.0)

    assert [pace.left(A, each, now=0.0) for each in "xyz"] == [
        MOST_PER_MINUTE,
        *[MOST_PER_MINUTE - 1] * 2,
    ]
