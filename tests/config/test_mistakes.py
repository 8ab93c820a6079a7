"""Mistakes are reported all at once, each with its key and its file and line or variable."""

import pytest

from tests.config.loading import credentials, mistakes

SECRET = "c4n4ry"


def test_every_mistake_is_reported_at_once_with_its_place() -> None:
    reported = mistakes(
        """
[delivery]
timeout = 5
retry_schedule = [
    "1m",   # fine
    "soon",
]
[egress]
allow_networks = ["10.0.0.1/8"]
allow_portz = ["443"]
[databse]
url = "x"
""",
        WEBHOOKD_ADMIN__PORT="http",
        WEBHOOKD_LOG__FORMAT="loud",
        CREDENTIALS_DIRECTORY=credentials({"delivery__pause_after": "0"}),
    )

    at_least = "should be greater than or equal to 1"
    network = 'write a network like "10.0.0.0/8" or "fd00::/8"'
    duration = 'must be a duration like "250ms", "5s", "1h30m" or "90d"'
    assert reported[:5] == [
        f"config.toml:3: delivery.timeout: {duration}",
        f"config.toml:6: delivery.retry_schedule[1]: {duration}",
        f"config.toml:9: egress.allow_networks[0]: 10.0.0.1/8 has host bits set; {network}",
        "config.toml:10: egress.allow_portz: unknown key; did you mean egress.allow_ports?",
        "config.toml:11: databse: unknown key; did you mean database?",
    ]
    assert sorted(reported[5:]) == [
        "WEBHOOKD_ADMIN__PORT: admin.port: must be a whole number",
        "WEBHOOKD_LOG__FORMAT: log.format: should be 'auto', 'console' or 'json'",
        f"credentials/delivery__pause_after: delivery.pause_after: {at_least}",
    ]


@pytest.mark.parametrize(
    ("toml", "mistake"),
    [
        ("delivery.timeout = '31s'", "1: delivery.timeout: 31s is not between 100ms and 30s"),
        ("delivery.timeout = '99ms'", "1: delivery.timeout: 99ms is not between 100ms and 30s"),
        ("delivery.concurrency = true", "1: delivery.concurrency: should be a valid integer"),
        ("delivery.concurrency = '5'", "1: delivery.concurrency: should be a valid integer"),
        ("egress.allow_http = 1", "1: egress.allow_http: should be a valid boolean"),
        ("egress.allow_ports = '443'", "1: egress.allow_ports: must be a list"),
        (
            "egress.allow_ports = []",
            "1: egress.allow_ports: must name at least one port",
        ),
        (
            "egress.allow_networks = [10]",
            '1: egress.allow_networks[0]: must be a network in quotes, like "10.0.0.0/8"',
        ),
        (
            "egress.deny_hosts = ['10.0.0.1']",
            (
                "1: egress.deny_hosts[0]: '10.0.0.1' is not a name like \"hooks.example.com\" or"
                ' "*.example.com"; addresses go into allow_networks or deny_networks'
            ),
        ),
        (
            "[delivery.retry_schedules]\nquick = ['1m', '9ms']",
            "2: delivery.retry_schedules.quick[1]: 9ms is not between 10ms and 30d",
        ),
        (
            "[delivery.retry_schedules]\nQuick = ['1m']",
            (
                "1: delivery.retry_schedules: 'Quick' is not a name of at most 64 characters:"
                " a-z, 0-9, - and _"
            ),
        ),
        (
            "delivery.retry_schedules = ['1m']",
            "1: delivery.retry_schedules: must be a table, [delivery.retry_schedules]",
        ),
        ("delivery = 5", "1: delivery: must be a table, [delivery]"),
        ("\n[[delivery]]\n", "2: delivery: must be a table, [delivery]"),
        ("timeout = '5s'", "1: timeout: unknown key; did you mean delivery.timeout?"),
        ("url = 1", "1: url: unknown key; did you mean database.url?"),
        ("zzz = 1", "1: zzz: unknown key"),
        ('"a\\nb" = 1', '1: "a\\nb": unknown key'),
        (
            "[delivery]\nfailing_after = 200",
            "1: delivery: failing_after (200) is more than pause_after (100)",
        ),
        (
            "admin.host = '127.0.0.1:80'",
            "1: admin.host: must be an address or a host name, without port or brackets",
        ),
        ("admin.port = 65536", "1: admin.port: should be less than or equal to 65535"),
    ],
)
def test_a_wrong_value_is_reported_in_plain_words(toml: str, mistake: str) -> None:
    assert mistakes(toml) == [f"config.toml:{mistake}"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WEBHOOKD_DATABASE_URL", "WEBHOOKD_DATABASE__URL"),
        ("WEBHOOKD_DATABSE__URL", "WEBHOOKD_DATABASE__URL"),
        ("webhookd_database__url", "WEBHOOKD_DATABASE__URL"),
        ("WEBHOOKD_CONFG", "WEBHOOKD_CONFIG"),
    ],
)
def test_a_mistyped_variable_is_a_mistake(name: str, meant: str) -> None:
    assert mistakes(**{name: SECRET}) == [f"{name}: unknown variable; did you mean {meant}?"]


def test_a_mistake_in_an_overridden_list_names_the_variable_and_not_a_line_of_the_file() -> None:
    toml = "[egress]\nallow_ports = [\n'1',\n'2',\n]"

    (reported,) = mistakes(toml, WEBHOOKD_EGRESS__ALLOW_PORTS="443,http")

    assert reported.startswith(
        "WEBHOOKD_EGRESS__ALLOW_PORTS: egress.allow_ports[1]: must be a port"
    )


@pytest.mark.parametrize("text", ["quick=1m", "[]", '"x"', "{", "[" * 100_000])
def test_a_table_in_a_variable_is_a_json_object(text: str) -> None:
    assert mistakes(WEBHOOKD_DELIVERY__RETRY_SCHEDULES=text) == [
        (
            "WEBHOOKD_DELIVERY__RETRY_SCHEDULES: delivery.retry_schedules: must be a JSON object,"
            ' such as {"name": ["1m", "1h"]}'
        )
    ]


def test_a_mistyped_or_empty_credential_is_a_mistake() -> None:
    folder = credentials({"database__ur": SECRET, "admin__port": "\n", "log__level": b"\xff"})

    reported = mistakes(CREDENTIALS_DIRECTORY=folder)

    assert reported == [
        "credentials/admin__port: admin.port: the file is empty",
        "credentials/database__ur: unknown credential; did you mean database__url?",
        "credentials/log__level: is not UTF-8 text",
    ]


def test_a_missing_credentials_directory_is_a_mistake() -> None:
    assert mistakes(CREDENTIALS_DIRECTORY="nowhere") == [
        "nowhere: CREDENTIALS_DIRECTORY cannot be read: No such file or directory"
    ]


def test_mistakes_in_the_environment_are_reported_even_when_the_file_is_invalid() -> None:
    reported = mistakes("nonsense", WEBHOOKD_ADMIN__PORT="x")

    assert [each.partition(":")[0] for each in reported] == ["config.toml", "WEBHOOKD_ADMIN__PORT"]
