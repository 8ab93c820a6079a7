"""The values that each setting accepts and rejects."""

from datetime import timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daemon.config import Config, Delivery, Egress
from daemon.config.machine_names import machine_names
from daemon.config.policies import egress_policy
from daemon.core.policy.egress_policy import EgressPolicy
from tests.config.loading import loaded, mistakes


def test_a_configuration_cannot_be_changed() -> None:
    config = Config()

    with pytest.raises(ValidationError):
        config.admin.port = 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql:///mail?host=/run/postgresql",
        "postgres://u:p%40ss@h:5432/d?sslmode=require",
        "postgresql://h1:5432,h2:5433/d",
        "postgresql://u@[::1]:5432/d",
    ],
)
def test_database_urls_that_the_driver_accepts_are_accepted(url: str) -> None:
    assert loaded(DATABASE_URL=url).origin("database.url") == "DATABASE_URL"


def test_names_of_hosts_are_kept_in_their_ascii_form_whatever_their_spelling() -> None:
    egress = loaded(
        "[egress]\nallow_hosts = ['Hooks.Corp.', '*.internal']\ndeny_networks = ['203.0.113.0/24']",
        WEBHOOKD_EGRESS__DENY_HOSTS="*.Bücher.example, intranet.example",
    ).egress

    assert egress.allow_hosts == ("hooks.corp", "*.internal")
    assert egress.deny_hosts == ("*.xn--bcher-kva.example", "intranet.example")
    assert egress.deny_networks == (ip_network("203.0.113.0/24"),)


def test_origins_are_kept_as_browsers_send_them() -> None:
    admin = loaded(
        "[admin]\nallowed_origins = ['https://App.Example.com:443', 'http://localhost:3000',"
        " 'http://[::1]:80', 'https://h:8443']"
    ).admin

    assert admin.allowed_origins == (
        "https://app.example.com",
        "http://localhost:3000",
        "http://[::1]",
        "https://h:8443",
    )


def test_the_policy_of_requests_has_every_setting_and_the_names_of_this_machine() -> None:
    config = loaded(
        """
        [egress]
        allow_http = true
        allow_networks = ["10.0.0.0/8"]
        allow_ports = ["80"]
        deny_networks = ["203.0.113.0/24"]
        allow_hosts = ["hooks.corp"]
        deny_hosts = ["*.corp.example"]
        """
    )

    assert egress_policy(config) == EgressPolicy(
        allow_http=True,
        allow_networks=(ip_network("10.0.0.0/8"),),
        allow_ports=((80, 80),),
        deny_networks=(ip_network("203.0.113.0/24"),),
        allow_hosts=frozenset({"hooks.corp"}),
        deny_hosts=frozenset({"*.corp.example"}),
        machine_names=machine_names(),
    )


def test_retention_is_a_duration_of_a_second_or_more() -> None:
    kept = loaded("[retention]\nevents = '1s'\ndeliveries = '36500d'").retention

    assert kept.events == timedelta(seconds=1)
    assert kept.deliveries == timedelta(days=36500)


def test_notifications_accept_one_address_or_several_and_a_console_url() -> None:
    one = loaded(
        """
        [notifications]
        smtp_url = "smtps://hooks%40example.com:p%2Fw@mail.example.com"
        from = "PenguinMails <hooks@example.com>"
        to = "ops@example.com"
        console_url = "https://hooks.example.com/console/"
        """
    ).notifications
    many = loaded(WEBHOOKD_NOTIFICATIONS__TO="ops@example.com, Eve <eve@example.com>").notifications

    assert one.to == ("ops@example.com",)
    assert one.console_url == "https://hooks.example.com/console"
    assert many.to == ("ops@example.com", "Eve <eve@example.com>")


def test_mail_without_a_sender_is_a_mistake() -> None:
    assert mistakes("[notifications]\nsmtp_url = 'smtp://h'") == [
        "config.toml:1: notifications: smtp_url is set but from is not: mail needs a sender"
    ]


@pytest.mark.parametrize(
    "toml",
    [
        "admin.tokens = ['']",
        "admin.tokens = 'one'",
        "admin.tokens = [5]",
        "admin.tokens = ['fifteen letters']",
        "admin.tokens = ['fifteen-letters']",
        "admin.allowed_hosts = ['http://x/']",
        "admin.trusted_proxies = ['10.0.0.1/8']",
        "admin.trusted_proxies = ['proxy.example']",
        "security.master_keys = [1]",
        "security.master_keys = ['a short one']",
        "egress.proxy = 'socks5://h:1080'",
        "egress.deny_networks = ['10.0.0.1/8']",
        "egress.deny_hosts = ['*']",
        "egress.deny_hosts = ['a.*.example']",
        "egress.deny_hosts = ['https://a.example/']",
        "egress.allow_hosts = ['10.0.0.1']",
        "egress.allow_hosts = ['a.example:443']",
        "notifications.smtp_url = 'http://h'",
        "notifications.smtp_url = 'smtp://u@'",
        "notifications.smtp_url = 'smtp://one,two'",
        "notifications.smtp_url = 'smtp://h/path'",
        "notifications.smtp_url = 'smtp://h?starttls=no'",
        "notifications.from = 'nobody'",
        "notifications.from_ = 'a@b'",
        "notifications.to = ['a@b, c@d']",
        "notifications.to = ['post@ü b']",
        "notifications.console_url = 'hooks.example.com'",
        "admin.public_url = 'hooks.example.com'",
        "admin.allowed_origins = ['*']",
        "admin.allowed_origins = ['null']",
        "admin.allowed_origins = ['app.example.com']",
        "admin.allowed_origins = ['https://app.example.com/']",
        "admin.allowed_origins = ['https://*.example.com']",
        "admin.allowed_origins = ['https://u@app.example.com']",
        "admin.allowed_origins = ['https://app.example.com:0']",
        "admin.allowed_origins = ['https://bücher.example']",
        "admin.public_url = 'https://h/#x'",
        "notifications.allowed_recipients = ['nobody']",
        "notifications.allowed_recipients = ['@']",
        "notifications.allowed_recipients = ['*@example.com,x']",
        "notifications.console_url = 'https://'",
        "notifications.console_url = 'javascript:alert(1)'",
        "notifications.console_url = 'https://user@h'",
        "notifications.console_url = 'https://h/?q'",
        "notifications.to = ['a@b', \"a@b\\nBcc: c@d\"]",
        "retention.events = '0s'",
        "retention.deliveries = 30",
    ],
)
def test_a_value_of_the_wrong_shape_is_one_mistake(toml: str) -> None:
    (reported,) = mistakes(toml)

    assert reported.startswith("config.toml:1: ")


@given(st.integers(-1, 70_000), st.integers(-1, 70_000))
def test_a_port_range_is_accepted_exactly_within_1_to_65535(low: int, high: int) -> None:
    try:
        accepted = Egress.model_validate({"allow_ports": [f"{low}-{high}"]}).allow_ports
    except ValidationError:
        accepted = ()

    assert accepted == (((low, high),) if 1 <= low <= high <= 65535 else ())


@pytest.mark.parametrize(
    "port", ["", "443-", "-443", "http", "1-2-3", " 443", "\u0664\u0664\u0663", True, 1.5, None]
)
def test_anything_but_a_port_is_rejected(port: object) -> None:
    with pytest.raises(ValidationError):
        Egress.model_validate({"allow_ports": [port]})


def test_sections_can_be_built_from_values_as_well_as_from_text() -> None:
    assert Delivery(timeout=timedelta(seconds=2)).timeout == timedelta(seconds=2)
    assert Egress(allow_ports=((1, 2),)).allow_ports == ((1, 2),)
