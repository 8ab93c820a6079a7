"""The bound on records of refused requests: by peer or caller, and in all."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from daemon.admin.api import refused_requests
from daemon.admin.api.refused_requests import (
    DAILY_OF_ONE,
    HOUR_SECONDS,
    MAX_KINDS,
    MAX_KINDS_OF_CALLERS,
    MAX_KINDS_OF_ONE,
    SEVERAL,
    RefusedRequests,
)
from daemon.core.model.audit import UNKNOWN_ACTOR, Actor, ActorKind, AuditRecord
from daemon.core.model.ids import TenantId


class Refused(RefusedRequests):
    """Requests of one moment, unless a test says otherwise."""

    def add(self, record: AuditRecord, *, now: float = 0.0) -> AuditRecord | None:
        return super().add(record, now=now)

    def take(self, *, now: float = 0.0) -> Iterator[AuditRecord]:
        return super().take(now=now)


def refused(action: str = "listWebhooks", peer: str = "192.0.2.1", **more: object) -> AuditRecord:
    members: dict[str, object] = {"actor": UNKNOWN_ACTOR, "tenant_id": None, "status": 401, **more}
    return AuditRecord(action=action, peer=peer, **members)  # type: ignore[arg-type]


def test_the_first_of_a_kind_is_recorded_at_once_and_the_rest_is_counted() -> None:
    requests = Refused()
    first = refused(object_id=uuid4())

    found = [requests.add(each) for each in (first, refused(object_id=uuid4()), refused())]

    assert found == [first, None, None]
    assert list(requests.take()) == [refused(count=2)]
    assert list(requests.take()) == []


def test_a_new_window_records_at_once_again() -> None:
    requests = Refused()
    requests.add(refused())
    assert list(requests.take()) == []

    assert requests.add(refused()) == refused()


def test_callers_and_statuses_are_recorded_apart() -> None:
    requests = Refused()
    tenant = TenantId(uuid4())
    kinds = [
        refused(),
        refused(status=429),
        refused(peer="192.0.2.2"),
        refused(action="deleteWebhook"),
        refused(actor=Actor(ActorKind.OPERATOR, "reports"), status=403),
        refused(actor=Actor(ActorKind.TENANT, "x"), tenant_id=tenant, status=403),
    ]

    assert [requests.add(each) for each in kinds] == kinds


def test_a_peer_with_many_kinds_does_not_hide_who_it_is() -> None:
    requests = Refused()
    reader = Actor(ActorKind.OPERATOR, "reports")

    found = [
        requests.add(refused(f"operation{n}", actor=reader, object_type="webhook"))
        for n in range(100)
    ]

    written = [each for each in found if each is not None]
    assert len(written) == MAX_KINDS_OF_ONE + 1
    assert written[-1] == refused(SEVERAL, actor=reader)
    assert list(requests.take()) == [refused(SEVERAL, actor=reader, count=89)]


def test_a_flood_of_one_peer_leaves_room_for_another() -> None:
    requests = Refused()
    for n in range(1000):
        requests.add(refused(f"operation{n}", actor=Actor(ActorKind.TENANT, str(n))))

    other = refused(peer="192.0.2.2")

    assert requests.add(other) == other


def test_many_peers_together_make_a_bounded_number_of_records() -> None:
    requests = Refused()

    written = [requests.add(refused(peer=f"192.0.2.{n}")) for n in range(10_000)]

    at_once = [each for each in written if each is not None]
    counted = list(requests.take())
    assert len(at_once) == MAX_KINDS + 1
    assert at_once[-1].peer is None
    assert sum(each.count for each in (*at_once, *counted)) == 10_000
    assert len(counted) == 1


def tenant_refused(tenant: TenantId, **more: object) -> AuditRecord:
    token = Actor(ActorKind.TENANT, str(uuid4()))
    members: dict[str, object] = {"actor": token, "tenant_id": tenant, "status": 403, **more}
    return refused(**members)  # type: ignore[arg-type]


def test_wrong_tokens_from_many_peers_leave_room_for_a_tenant_s_own_refusals() -> None:
    requests = Refused()
    for n in range(240):
        requests.add(refused(f"operation{n % 8}", peer=f"192.0.2.{n % 30}"))

    own = tenant_refused(TenantId(uuid4()), peer="192.0.2.1")

    assert requests.add(own) == own


def test_refusals_of_known_callers_leave_room_for_wrong_tokens() -> None:
    requests = Refused()
    for n in range(MAX_KINDS_OF_CALLERS * 3):
        requests.add(tenant_refused(TenantId(uuid4()), action=f"operation{n}"))

    wrong = refused()

    assert requests.add(wrong) == wrong


def test_the_tokens_and_addresses_of_one_tenant_together_leave_room_for_another() -> None:
    requests = Refused()
    tenant, other = TenantId(uuid4()), TenantId(uuid4())

    written = [
        requests.add(tenant_refused(tenant, peer=f"192.0.{n % 250}.1", action=f"operation{n}"))
        for n in range(1000)
    ]

    at_once = [each for each in written if each is not None]
    counted = list(requests.take())
    assert len(at_once) <= 3 * MAX_KINDS_OF_ONE + 1
    assert sum(each.count for each in (*at_once, *counted)) == 1000
    assert requests.add(tenant_refused(other)) is not None


def test_a_caller_at_many_addresses_does_not_hide_who_it_is() -> None:
    requests = Refused()
    reader = Actor(ActorKind.OPERATOR, "reports")

    for n in range(1000):
        requests.add(
            refused(actor=reader, status=403, peer=f"192.0.2.{n}", tenant_id=TenantId(uuid4()))
        )

    assert {each.actor for each in requests.take()} == {reader}


def test_many_callers_together_make_a_bounded_number_of_records() -> None:
    requests = Refused()

    written = [requests.add(tenant_refused(TenantId(uuid4()))) for _ in range(10_000)]

    at_once = [each for each in written if each is not None]
    assert len(at_once) == MAX_KINDS_OF_CALLERS + 1
    assert sum(each.count for each in (*at_once, *requests.take())) == 10_000


def refused_for_a_day(requests: Refused, each_minute: list[AuditRecord]) -> list[AuditRecord]:
    """What is written of requests that are refused twice in each minute of a day."""
    written: list[AuditRecord | None] = []
    for minute in range(24 * 60):
        now = minute * 60.0
        written += [requests.add(each, now=now) for each in each_minute * 2]
        written += requests.take(now=now + 59)
    return [each for each in (*written, *requests.take_all()) if each is not None]


def test_a_tenant_that_is_refused_all_day_has_a_bounded_number_of_records() -> None:
    requests = Refused()
    tenant, other = TenantId(uuid4()), TenantId(uuid4())
    own = tenant_refused(tenant)

    written = refused_for_a_day(requests, [own, replace(own, action="deleteWebhook")])
    others = tenant_refused(other)

    # A day's records at once, as many that come back within the day, and one for each hour.
    assert len(written) <= 2 * DAILY_OF_ONE + 25
    assert sum(each.count for each in written) == 24 * 60 * 4
    assert {each.actor for each in written} == {own.actor}
    assert requests.add(others, now=24 * HOUR_SECONDS) == others


def test_an_operator_that_is_refused_all_day_has_all_of_its_records() -> None:
    own = refused(actor=Actor(ActorKind.OPERATOR, "reports"), status=403)

    written = refused_for_a_day(Refused(), [own])

    assert written == [own] * 2 * 24 * 60


def test_what_is_beyond_the_records_of_a_day_is_written_once_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refused_requests, "DAILY_OF_ONE", 1)
    requests = Refused()
    own = tenant_refused(TenantId(uuid4()))
    others = [replace(own, action="deleteWebhook"), replace(own, action="createWebhook")]

    found = [requests.add(each) for each in (own, *others)]
    soon = list(requests.take(now=HOUR_SECONDS - 1))
    then = list(requests.take(now=HOUR_SECONDS))

    assert found == [own, None, None]
    assert soon == []
    assert then == [replace(own, action=SEVERAL, peer=None, count=2)]
    assert not requests


def test_wrong_tokens_from_ever_more_addresses_have_a_bounded_number_of_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refused_requests, "DAILY_OF_UNKNOWN", 100)
    requests = Refused()
    written = []
    for number in range(300):
        written.append(requests.add(refused(peer=f"2001:db8::{number:x}")))
        list(requests.take())

    beyond = list(requests.take_all())
    known = tenant_refused(TenantId(uuid4()))

    assert sum(each is not None for each in written) == 100
    assert beyond == [replace(refused(SEVERAL, count=200), peer=None)]
    assert requests.add(known) == known
