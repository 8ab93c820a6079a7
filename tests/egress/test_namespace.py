"""
No address that is forbidden is ever connected to: strace is the witness.

The daemon is the real one with its guard as it is delivered, in a network namespace whose loopback
has public addresses and forbidden ones, with a receiver on all of them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.report import errors_logged
from tests.namespace import entrance, world
from tests.namespace.entrance import Attempt, Found
from tests.namespace.trace import reached_for, whole
from tests.support.postgres import roomy_folder, temporary_database

NOT_PUBLIC = "the host's address is not public"
ATTEMPTS = 3  # the first, and one for each wait of the schedule
ADDRESS = re.compile(r"\d+\.\d+|::")
OUTSIDE = {(world.PUBLIC_FOUR, 443), (world.PUBLIC_SIX, 443)}
TRACE = """\
7     connect(4, {sa_family=AF_UNIX, sun_path="/tmp/.s.PGSQL.5432"}, 110) = 0
71    connect(5, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("10.0.0.1")}, 16 \
<unfinished ...>
7     connect(6, {sa_family=AF_INET6, sin6_port=htons(8443), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "::ffff:10.0.0.1", &sin6_addr), sin6_scope_id=0}, 28) = -1 EINPROGRESS (…)
71    <... connect resumed>)            = -1 EINPROGRESS (Operation now in progress)
7     sendto(7, "x", 1, MSG_NOSIGNAL, NULL, 0) = 1
7     sendto(7, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(53), \
sin_addr=inet_addr("9.9.9.9")}, 16) = 1
7     sendmsg(8, {msg_name={sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "fd00::1", &sin6_addr), sin6_scope_id=0}, msg_namelen=28, …}, 0) = 1
71    +++ exited with 0 +++
7     +++ exited with 0 +++
"""


@contextmanager
def played(server: str, template: str, settings: str = "") -> Iterator[Found]:
    """What came of the scenario with these settings; skips where it cannot be played."""
    if reason := entrance.obstacle():
        pytest.skip(reason)
    with roomy_folder() as folder, temporary_database(server, template=template) as database:
        url = entrance.over_socket(database)
        if url is None:
            pytest.skip("PostgreSQL does not answer on a UNIX socket of this machine")
        yield entrance.play(url, folder, settings=settings)


@pytest.fixture(scope="module")
def found(postgres_url: str, migrated_template: str) -> Iterator[Found]:
    """What came of the scenario with the guard as it is delivered."""
    with played(postgres_url, migrated_template) as it:
        yield it


@pytest.mark.parametrize("url", world.DELIVERED)
def test_a_public_endpoint_gets_its_delivery(found: Found, url: str) -> None:
    assert found.of(url) == [Attempt(url, "success", 200, None)]


def test_the_daemon_connects_to_public_addresses_and_its_name_server_and_to_nothing_else(
    found: Found,
) -> None:
    assert found.reached_for == OUTSIDE | {(world.NAME_SERVER, 53)}


def test_nobody_arrives_at_a_forbidden_address(found: Found) -> None:
    assert found.visits == OUTSIDE


@pytest.mark.parametrize("url", world.LEADING_INSIDE)
def test_a_name_that_leads_to_a_forbidden_address_is_refused(found: Found, url: str) -> None:
    assert found.of(url) == [Attempt(url, "failed", None, NOT_PUBLIC)] * ATTEMPTS


@pytest.mark.parametrize("url", world.SPELLED)
def test_a_forbidden_url_is_refused_however_it_is_spelled(found: Found, url: str) -> None:
    attempts = found.of(url)

    assert [(each.status, each.status_code) for each in attempts] == [("failed", None)] * ATTEMPTS
    for each in attempts:
        assert each.error is not None
        assert not ADDRESS.search(each.error)


@pytest.mark.parametrize("url", world.REDIRECTS)
def test_a_redirect_is_told_and_not_followed(found: Found, url: str) -> None:
    status, location = world.REDIRECTS[url]

    assert [each.status_code for each in found.of(url)] == [status] * ATTEMPTS
    assert all(location in (each.error or "") for each in found.of(url))
    assert found.requests.count((world.PUBLIC_FOUR, url)) == ATTEMPTS


def test_a_name_that_leads_inside_at_the_second_attempt_is_refused(found: Found) -> None:
    first, *later = found.of(world.REBINDING)

    assert first.status_code == 500
    assert later == [Attempt(world.REBINDING, "failed", None, NOT_PUBLIC)] * (ATTEMPTS - 1)


def test_a_name_that_leads_inside_every_other_time_is_refused_every_other_time(
    found: Found,
) -> None:
    assert set(found.of(world.FLAPPING)) == {
        Attempt(world.FLAPPING, "success", 200, None),
        Attempt(world.FLAPPING, "failed", None, NOT_PUBLIC),
    }


def test_nothing_of_all_this_is_a_fault_of_ours(found: Found) -> None:
    assert errors_logged(found.log) == []


def test_what_the_operator_opens_is_reached_and_nothing_beside_it(
    postgres_url: str, migrated_template: str
) -> None:
    opened = '[egress]\nallow_networks = ["10.0.0.0/8"]\n'

    with played(postgres_url, migrated_template, opened) as found:
        of_the_lan = {(address, 443) for address in world.IN_THE_LAN} | {(world.LAN, 8443)}
        assert found.reached_for == OUTSIDE | {(world.NAME_SERVER, 53)} | of_the_lan
        assert found.visits == OUTSIDE | arriving(of_the_lan)


def test_every_forbidden_address_would_have_answered(
    postgres_url: str, migrated_template: str
) -> None:
    """Else the tests above could not fail: this one opens everything."""
    opened = '[egress]\nallow_networks = ["0.0.0.0/0", "::/0"]\n'

    with played(postgres_url, migrated_template, opened) as found:
        forbidden = {(address, 443) for address in (*world.FORBIDDEN, *world.DISGUISED)}
        assert found.reached_for >= forbidden
        assert found.visits >= arriving(forbidden)
        assert (world.METADATA, world.REBINDING) in found.requests
        # Not even now is a redirect followed or a proxy asked.
        assert {port for _, port in found.visits} == {443, 8443}
        assert found.requests.count(("192.168.0.1", world.TEMPTING[-1])) == 1


def arriving(named: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Where connections to these come out."""
    return {(world.DISGUISED.get(address, address), port) for address, port in named}


def test_the_reader_of_traces_finds_every_address() -> None:
    assert reached_for(TRACE) == {
        ("10.0.0.1", 443),
        ("::ffff:10.0.0.1", 8443),
        ("9.9.9.9", 53),
        ("fd00::1", 53),
    }


@pytest.mark.parametrize(
    "line",
    [
        "7 connect(3, 0x7ffd5e3c, 16) = -1 EFAULT (Bad address)",
        '7 connect(3, {sa_family=AF_INET, sa_data="\\1\\273"}, 16) = 0',
        '7 sendto(3, "x", 1, 0, {sa_family=AF_INET6, sin6_port=htons(53)}, 28) = 1',
        "7 connect(3, {sa_family=0x1f /* AF_??? */}, 16) = 0",
    ],
)
def test_the_reader_of_traces_overlooks_nothing(line: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        reached_for(line)


def test_a_trace_is_whole_when_the_first_process_has_ended() -> None:
    assert whole(TRACE, 7)
    assert not whole(TRACE.removesuffix("7     +++ exited with 0 +++\n"), 7)
