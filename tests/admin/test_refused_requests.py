"""The bound on records of refused requests: by peer, and in all."""

from uuid import uuid4

from daemon.admin.api.refused_requests import (
    MAX_KINDS,
    MAX_KINDS_OF_PEER,
    SEVERAL,
    RefusedRequests,
)
from daemon.core.model.audit import NOBODY, Actor, ActorKind, AuditRecord
from daemon.core.model.ids import TenantId


def refused(action: str = "listWebhooks", peer: str = "192.0.2.1", **more: object) -> AuditRecord:
    members: dict[str, object] = {"actor": NOBODY, "tenant_id": None, "status": 401, **more}
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
    assert len(written) == MAX_KINDS_OF_PEER + 1
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
