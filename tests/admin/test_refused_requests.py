"""The bound on records of refused requests: by peer or caller, and in all."""

from uuid import uuid4

from daemon.admin.api.refused_requests import (
    MAX_KINDS,
    MAX_KINDS_OF_CALLERS,
    MAX_KINDS_OF_ONE,
    SEVERAL,
    RefusedRequests,
)
from daemon.core.model.audit import UNKNOWN_ACTOR, Actor, ActorKind, AuditRecord
from daemon.core.model.ids import TenantId


def refused(action: str = "listWebhooks", peer: str = "192.0.2.1", **more: object) -> AuditRecord:
    members: dict[str, object] = {"actor": UNKNOWN_ACTOR, "tenant_id": None, "status": 401, **more}
    return AuditRecord(action=action, peer=peer, **members)  # type: ignore[arg-type]


def test_the_first_of_a_kind_is_recorded_at_once_and_the_rest_is_counted() -> None:
    requests = RefusedRequests()
    first = refused(object_id=uuid4())

    found = [requests.add(each) for each in (first, refused(object_id=uuid4()), refused())]

    assert found == [first, None, None]
    assert list(requests.take()) == [refused(count=2)]
    assert list(requests.take()) == []


def test_a_new_window_records_at_once_again() -> None:
    requests = RefusedRequests()
    requests.add(refused())
    assert list(requests.take()) == []

    assert requests.add(refused()) == refused()


def test_callers_and_statuses_are_recorded_apart() -> None:
    requests = RefusedRequests()
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
    requests = RefusedRequests()
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
    requests = RefusedRequests()
    for n in range(1000):
        requests.add(refused(f"operation{n}", actor=Actor(ActorKind.TENANT, str(n))))

    other = refused(peer="192.0.2.2")

    assert requests.add(other) == other


def test_many_peers_together_make_a_bounded_number_of_records() -> None:
    requests = RefusedRequests()

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
    requests = RefusedRequests()
    for n in range(240):
        requests.add(refused(f"operation{n % 8}", peer=f"192.0.2.{n % 30}"))

    own = tenant_refused(TenantId(uuid4()), peer="192.0.2.1")

    assert requests.add(own) == own


def test_refusals_of_known_callers_leave_room_for_wrong_tokens() -> None:
    requests = RefusedRequests()
    for n in range(MAX_KINDS_OF_CALLERS * 3):
        requests.add(tenant_refused(TenantId(uuid4()), action=f"operation{n}"))

    wrong = refused()

    assert requests.add(wrong) == wrong


def test_the_tokens_and_addresses_of_one_tenant_together_leave_room_for_another() -> None:
    requests = RefusedRequests()
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
    requests = RefusedRequests()
    reader = Actor(ActorKind.OPERATOR, "reports")

    for n in range(1000):
        requests.add(
            refused(actor=reader, status=403, peer=f"192.0.2.{n}", tenant_id=TenantId(uuid4()))
        )

    assert {each.actor for each in requests.take()} == {reader}


def test_many_callers_together_make_a_bounded_number_of_records() -> None:
    requests = RefusedRequests()

    written = [requests.add(tenant_refused(TenantId(uuid4()))) for _ in range(10_000)]

    at_once = [each for each in written if each is not None]
    assert len(at_once) == MAX_KINDS_OF_CALLERS + 1
    assert sum(each.count for each in (*at_once, *requests.take())) == 10_000
