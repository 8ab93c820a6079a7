"""Names that no public receiver can have are refused, and every name that one can have is not."""

# ruff: noqa: RUF001  look-alikes are intended here

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.policy.addresses import DENIED, NOT_PUBLIC
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.hosts import host_pattern, judge_host
from daemon.core.policy.names import NEVER_PUBLIC, NOT_PUBLIC_NAME, is_listed, loopback_addresses
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import judge_url
from tests.core.policy.url_corpus import STRICT, allowing

MACHINE = replace(STRICT, machine_names=frozenset({"worker-3.prod.example.com", "db.example.org"}))

# Written out, so that a mistake in the code under test is found.
NOT_PUBLIC_NAMES = [
    # single labels
    "db", "intranet", "x", "com", "metadata", "instance-data", "rancher-metadata", "xn--p1ai",
    # special-use domains: RFC 6761, 6762, 7686, 8375, 9476
    "a.test", "test", "a.b.invalid", "printer.local", "a.b.c.local", "abcdefghijklmnop.onion",
    "router.home.arpa", "home.arpa", "wallet.alt",
    # private-use domains
    "a.internal", "a.lan", "a.corp", "a.home", "a.intranet", "a.localdomain", "a.private", "a.mail",
    "localhost.localdomain",
    # reverse zones, and arpa as a whole
    "1.0.0.127.in-addr.arpa", "in-addr.arpa", "1.0.0.0.ip6.arpa", "ipv4only.arpa", "a.e164.arpa",
    # metadata services of clouds
    "metadata.google.internal", "metadata.goog", "a.metadata.goog", "metadata.azure.internal",
    "instance-data.ec2.internal", "ip-10-0-0-1.eu-west-1.compute.internal",
    "metadata.tencentyun.com", "metadata.platformequinix.com", "api.metadata.cloud.ibm.com",
    # services of clusters and of container engines
    "db.prod.svc", "db.prod.svc.cluster.local", "a.cluster.local", "kubernetes.default",
    "kubernetes.default.svc", "10-0-0-1.default.pod", "kube-dns.kube-system", "web.service.consul",
    "host.docker.internal", "app.marathon.mesos",
    # names of this machine and of its hosts file
    "worker-3.prod.example.com", "db.example.org",
]  # fmt: skip

PUBLIC_NAMES = [
    "example.com", "hooks.example", "a.dev", "a.app", "a.page", "a.cloud", "a.host", "a.services",
    "a.network", "a.email", "a.homes", "a.zone", "1and1.de", "4chan.org", "a1-b2--c3.example.com",
    "home.example", "lan.example", "local.example.com", "localhost.example.com", "test.example.com",
    "internal.example.com", "corp.example", "arpa.example.com", "svc.cluster.example.com",
    "notlocalhost.com", "mylocal.com", "latest.com", "a.contest", "a.protest.org", "onion.com",
    "metadata.example.com", "goog.com", "a.goog", "xn--bcher-kva.example", "xn--e1afmkfd.xn--p1ai",
    "under_score.example.com", "_dmarc.example.com", "t.co", "x.com", "127.0.0.1.nip.io",
    "prod.example.com", "worker-33.prod.example.com", "a.worker-3.prod.example.com", "example.org",
]  # fmt: skip


def spellings(name: str) -> list[str]:
    return [name, name.upper(), f"{name}.", f"{name.title()}."]


@pytest.mark.parametrize("name", NOT_PUBLIC_NAMES)
def test_a_name_that_no_public_receiver_can_have_is_refused_in_every_spelling(name: str) -> None:
    for spelling in spellings(name):
        assert judge_host(spelling, MACHINE) == NOT_PUBLIC_NAME
        assert judge_url(f"https://{spelling}:8443/x", MACHINE) == NOT_PUBLIC_NAME


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_a_name_that_a_public_receiver_can_have_is_accepted_in_every_spelling(name: str) -> None:
    for spelling in spellings(name):
        assert judge_host(spelling, MACHINE) == name


@pytest.mark.parametrize("suffix", sorted(NEVER_PUBLIC))
def test_a_name_that_only_contains_or_resembles_a_refused_one_is_accepted(suffix: str) -> None:
    for name in (f"{suffix}.example.com", f"{suffix}s.com", f"not{suffix}.com", f"a.not-{suffix}"):
        assert judge_host(name, STRICT) == name


def test_an_international_spelling_of_a_refused_name_is_refused() -> None:
    for spelling in ("db.ｌocal", "DB.LOC\u00adAL", "ⓓb.lan"):
        assert judge_host(spelling, STRICT) == NOT_PUBLIC_NAME


@pytest.mark.parametrize("name", NOT_PUBLIC_NAMES)
def test_an_operator_can_allow_every_refused_name_alone_or_with_those_beside_it(name: str) -> None:
    alone = replace(MACHINE, allow_hosts=frozenset({name}))
    beside = replace(MACHINE, allow_hosts=frozenset({f"*.{name.partition('.')[2]}"}))

    assert judge_host(name, alone) == name
    assert judge_host(name, beside) == (name if "." in name else NOT_PUBLIC_NAME)


def test_an_allowed_host_allows_no_other() -> None:
    policy = replace(STRICT, allow_hosts=frozenset({"hooks.corp", "*.hooks.internal"}))

    for name in ("a.hooks.corp", "hook.corp", "corp", "hooks.internal", "xhooks.internal"):
        assert judge_host(name, policy) == NOT_PUBLIC_NAME
    for name in ("hooks.corp", "a.hooks.internal", "a.b.hooks.internal", "example.com"):
        assert judge_host(name, policy) == name


@pytest.mark.parametrize(
    ("pattern", "denied", "permitted"),
    [
        ("corp.example", ["corp.example"], ["a.corp.example", "xcorp.example", "example.com"]),
        (
            "*.corp.example",
            ["a.corp.example", "a.b.corp.example", "_a.corp.example", "xn--bcher-kva.corp.example"],
            ["corp.example", "xcorp.example", "a.xcorp.example", "corp.example.com"],
        ),
        ("*.Bücher.Example.", ["a.xn--bcher-kva.example", "a.bücher.example"], ["bücher.example"]),
        ("BÜCHER.example", ["xn--bcher-kva.example", "bücher.EXAMPLE"], ["bucher.example"]),
    ],
)
def test_a_denied_host_is_refused_in_every_spelling_and_no_other_is(
    pattern: str, denied: list[str], permitted: list[str]
) -> None:
    normal = host_pattern(pattern)
    assert isinstance(normal, str)
    policy = replace(STRICT, deny_hosts=frozenset({normal}))

    for name in denied:
        assert {judge_host(spelling, policy) for spelling in spellings(name)} == {DENIED}
    for name in permitted:
        assert isinstance(judge_host(name, policy), str)


def test_denying_a_host_wins_over_allowing_it() -> None:
    policy = replace(
        allowing("127.0.0.0/8"),
        allow_hosts=frozenset({"*.corp", "localhost"}),
        deny_hosts=frozenset({"db.corp", "localhost"}),
    )

    assert judge_host("db.corp", policy) == DENIED
    assert judge_host("localhost", policy) == DENIED
    assert judge_host("hooks.corp", policy) == "hooks.corp"


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "a.localhost", "a.b.LocalHost"])
def test_localhost_is_allowed_with_the_addresses_of_loopback_and_only_with_them(name: str) -> None:
    by_name = replace(STRICT, allow_hosts=frozenset({"localhost", "*.localhost"}))

    assert judge_host(name, allowing("127.0.0.1/32")) == name.lower().removesuffix(".")
    assert judge_host(name, allowing("::1/128")) == name.lower().removesuffix(".")
    for policy in (STRICT, by_name, allowing("10.0.0.0/8"), allowing("127.0.0.2/32")):
        assert judge_host(name, policy) == NOT_PUBLIC


def test_localhost_has_those_addresses_of_loopback_that_are_allowed_and_not_denied() -> None:
    everything = allowing("127.0.0.0/8", "::/0")

    assert loopback_addresses(everything) == ["127.0.0.1", "::1"]
    assert loopback_addresses(allowing("127.0.0.0/8")) == ["127.0.0.1"]
    assert loopback_addresses(replace(everything, deny_networks=(ip_network("::1/128"),))) == [
        "127.0.0.1"
    ]


@pytest.mark.parametrize(
    "text", ["", "*", "*.", ".", "*.*.com", "a.*.com", "*a.com", "10.0.0.1", "*.0.0.1", "::1",
             "[::1]", "a..b", "-a.com", "a b.com", "https://a.com", "a.com:443", "a%2ecom",
             "a.com.."]
)  # fmt: skip
def test_what_is_neither_a_name_nor_a_name_after_an_asterisk_is_no_pattern(text: str) -> None:
    assert isinstance(host_pattern(text), Refusal)


label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(
    labels=st.lists(label, min_size=1, max_size=5), parent=st.lists(label, min_size=1, max_size=3)
)
def test_an_asterisk_stands_for_any_number_of_labels_but_none(
    labels: list[str], parent: list[str]
) -> None:
    patterns = frozenset({"*." + ".".join(parent)})

    assert is_listed(".".join([*labels, *parent]), patterns)
    assert not is_listed(".".join(parent), patterns)


@given(name=st.lists(label, min_size=2, max_size=4), suffix=st.sampled_from(sorted(NEVER_PUBLIC)))
def test_a_name_below_a_refused_one_is_refused(name: list[str], suffix: str) -> None:
    assert judge_host(".".join([*name, suffix]), EgressPolicy()) == NOT_PUBLIC_NAME
