"""
The daemon never connects to a forbidden address, as strace confirms.

It runs with its default egress rules in a network namespace whose loopback has public and forbidden
addresses, with a receiver on all of them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.faults.report import errors_logged
from tests.namespace import network, runner
from tests.namespace.runner import Attempt, Observed
from tests.namespace.trace import is_complete, reached_for
from tests.support.postgres import folder_for_postgres, temporary_database

ATTEMPTS = 3  # the first, and one for each wait of the schedule
ADDRESS = re.compile(r"\d+\.\d+|::")
PUBLIC_RECEIVERS = {(network.PUBLIC_V4, 443), (network.PUBLIC_V6, 443)}
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
def scenario(server: str, template: str, settings: str = "") -> Iterator[Observed]:
    """Run the scenario with these settings; skip the test where it cannot run."""
    if reason := runner.missing_requirement():
        pytest.skip(reason)
    with folder_for_postgres() as folder, temporary_database(server, template=template) as database:
        url = runner.unix_socket_url(database)
        if url is None:
            pytest.skip("PostgreSQL accepts no connections on a UNIX socket of this machine")
        yield runner.run(url, folder, settings=settings)


@pytest.fixture(scope="module")
def observed(postgres_url: str, migrated_template: str) -> Iterator[Observed]:
    """The scenario with the default egress rules."""
    with scenario(postgres_url, migrated_template) as result:
        yield result


@pytest.mark.parametrize("url", network.DELIVERED)
def test_a_public_endpoint_receives_its_delivery(observed: Observed, url: str) -> None:
    assert observed.attempts_at(url) == [Attempt(url, "success", 200, None)]


def test_the_daemon_connects_to_public_addresses_and_its_name_server_and_to_nothing_else(
    observed: Observed,
) -> None:
    assert observed.reached_for == PUBLIC_RECEIVERS | {(network.NAME_SERVER, 53)}


def test_no_connection_arrives_at_a_forbidden_address(observed: Observed) -> None:
    assert observed.connections == PUBLIC_RECEIVERS


@pytest.mark.parametrize("url", [*network.FORBIDDEN_BY_ADDRESS, network.MISSING])
def test_a_name_that_resolves_to_a_forbidden_address_fails_like_one_that_does_not_exist(
    observed: Observed, url: str
) -> None:
    assert observed.attempts_at(url) == [not_public(url)] * ATTEMPTS


def test_no_name_is_looked_up_in_the_search_list_or_though_it_is_refused(
    observed: Observed,
) -> None:
    permitted = set(network.ENDPOINTS) - set(network.FORBIDDEN_BY_URL)

    assert observed.lookups == {(urlsplit(url).hostname or "").rstrip(".") for url in permitted}


@pytest.mark.parametrize("url", network.FORBIDDEN_BY_URL)
def test_a_forbidden_url_is_refused_however_it_is_spelled(observed: Observed, url: str) -> None:
    attempts = observed.attempts_at(url)

    assert [(each.status, each.status_code) for each in attempts] == [("failed", None)] * ATTEMPTS
    for each in attempts:
        assert each.error is not None
        assert not ADDRESS.search(each.error)


@pytest.mark.parametrize("url", network.REDIRECTS)
def test_a_redirect_is_reported_and_not_followed(observed: Observed, url: str) -> None:
    status, location = network.REDIRECTS[url]

    assert [each.status_code for each in observed.attempts_at(url)] == [status] * ATTEMPTS
    assert all(location in (each.error or "") for each in observed.attempts_at(url))
    assert observed.requests.count((network.PUBLIC_V4, url)) == ATTEMPTS


def test_a_name_that_becomes_forbidden_after_the_first_attempt_is_refused(
    observed: Observed,
) -> None:
    first, *later = observed.attempts_at(network.REBINDING)

    assert first.status_code == 500
    assert later == [not_public(network.REBINDING)] * (ATTEMPTS - 1)


def test_a_name_that_is_forbidden_at_every_other_lookup_is_refused_at_every_other_attempt(
    observed: Observed,
) -> None:
    assert set(observed.attempts_at(network.FLAPPING)) == {
        Attempt(network.FLAPPING, "success", 200, None),
        not_public(network.FLAPPING),
    }


def test_the_daemon_logs_no_fault_of_its_own(observed: Observed) -> None:
    assert errors_logged(observed.log) == []


def test_networks_that_the_operator_allows_are_reached_and_no_others(
    postgres_url: str, migrated_template: str
) -> None:
    settings = '[egress]\nallow_networks = ["10.0.0.0/8"]\n'

    with scenario(postgres_url, migrated_template, settings) as observed:
        in_the_lan = {(address, 443) for address in network.IN_THE_LAN} | {(network.LAN, 8443)}
        assert observed.reached_for == PUBLIC_RECEIVERS | {(network.NAME_SERVER, 53)} | in_the_lan
        assert observed.connections == PUBLIC_RECEIVERS | destinations_of(in_the_lan)


def test_every_forbidden_address_would_have_responded(
    postgres_url: str, migrated_template: str
) -> None:
    """Otherwise the tests above could not fail: this one allows every network."""
    settings = '[egress]\nallow_networks = ["0.0.0.0/0", "::/0"]\n'

    with scenario(postgres_url, migrated_template, settings) as observed:
        forbidden = {(address, 443) for address in (*network.FORBIDDEN, *network.DISGUISED)}
        assert observed.reached_for >= forbidden
        assert observed.connections >= destinations_of(forbidden)
        assert (network.METADATA, network.REBINDING) in observed.requests
        # Even so, no redirect is followed and no proxy is used.
        assert {port for _, port in observed.connections} == {443, 8443}
        assert observed.requests.count(("192.168.0.1", network.REDIRECT_LOCATIONS[-1])) == 1


def not_public(url: str) -> Attempt:
    """Return the failed attempt at a name that has no address, or one that is forbidden."""
    name = urlsplit(url).hostname
    return Attempt(url, "failed", None, f"the host name {name} has no public address")


def destinations_of(named: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return where connections to these arrive."""
    return {(network.DISGUISED.get(address, address), port) for address, port in named}


def test_every_address_of_a_trace_is_read() -> None:
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
def test_a_line_of_a_trace_that_cannot_be_read_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        reached_for(line)


def test_a_trace_is_complete_when_the_first_process_has_ended() -> None:
    assert is_complete(TRACE, 7)
    assert not is_complete(TRACE.removesuffix("7     +++ exited with 0 +++\n"), 7)
