"""The values that each setting accepts and rejects."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daemon.config import Config, Delivery, Egress
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
        "security.master_keys = [1]",
        "security.master_keys = ['a short one']",
        "egress.proxy = 'socks5://h:1080'",
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
