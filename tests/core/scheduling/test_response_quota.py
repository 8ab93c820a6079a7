"""Which responses are stored whole, and which are shortened."""

from uuid import UUID

import pytest

from daemon.core.model.attempts import Response
from daemon.core.model.ids import TenantId
from daemon.core.scheduling import response_quota
from daemon.core.scheduling.response_quota import BYTES_PER_HOUR, HOUR, SHORT, ResponseQuota

ONE, OTHER = TenantId(UUID(int=1)), TenantId(UUID(int=2))
LONG = Response(200, (("x-one", "1" * 600), ("x-two", "2" * 600), ("x-three", "3")), "b" * 2048)
SIZE = 2048 + 5 + 600 + 5 + 600 + 7 + 1
SHORTENED = Response(200, (("x-one", "1" * 600), ("x-three", "3")), "b" * SHORT, truncated=True)


@pytest.fixture
def spent() -> ResponseQuota:
    """A quota of which one tenant has used everything at 0."""
    quota = ResponseQuota()
    for _ in range(BYTES_PER_HOUR // SIZE):
        assert quota.stored(LONG, ONE, now=0.0) is LONG
    return quota


def test_beyond_the_quota_a_long_response_is_shortened(spent: ResponseQuota) -> None:
    assert spent.stored(LONG, ONE, now=0.0) == SHORTENED


def test_a_short_response_is_always_stored_as_it_is(spent: ResponseQuota) -> None:
    short = Response(500, (("content-type", "text/plain"),), "x" * SHORT)

    assert spent.stored(short, ONE, now=0.0) is short


def test_other_tenants_have_their_own(spent: ResponseQuota) -> None:
    assert spent.stored(LONG, OTHER, now=0.0) is LONG


def test_it_comes_back_with_time(spent: ResponseQuota) -> None:
    a_second_before = HOUR * SIZE / BYTES_PER_HOUR - 1.0

    assert spent.stored(LONG, ONE, now=max(0.0, a_second_before)) == SHORTENED
    assert spent.stored(LONG, ONE, now=HOUR) is LONG


def test_the_tenant_of_the_oldest_response_is_forgotten(
    spent: ResponseQuota, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_quota, "MOST_TENANTS", 1)

    spent.stored(LONG, OTHER, now=0.0)

    assert spent.stored(LONG, ONE, now=0.0) is LONG
