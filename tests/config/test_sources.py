"""The sources of settings and their precedence."""

import os
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from daemon.config import Config, load
from tests.config.loading import credentials, loaded


def test_without_file_and_environment_the_defaults_apply() -> None:
    config = load(environ={})

    assert config.model_dump() == Config().model_dump()
    assert config.database.url is None
    assert config.delivery.timeout == timedelta(seconds=5)
    assert config.egress.allow_ports == ((443, 443), (8443, 8443))


def test_a_file_sets_every_kind_of_value() -> None:
    config = loaded("""
        database.url = "postgresql://u@h/d"
        [delivery]
        concurrency = 7
        timeout = "1s500ms"
        retry_schedule = ["1s", "2h"]
        [delivery.retry_schedules]
        quick = ["10s"]
        "none" = []
        [egress]
        allow_http = true
        allow_networks = ["10.0.0.0/8", "fd00::/8", "127.0.0.1"]
        allow_ports = ["443", "1024-65535", 80]
        [log]
        format = "JSON"
        """)

    assert config.database.url == SecretStr("postgresql://u@h/d")
    assert config.delivery.concurrency == 7
    assert config.delivery.timeout == timedelta(seconds=1.5)
    assert config.delivery.retry_schedule == (timedelta(seconds=1), timedelta(hours=2))
    assert config.delivery.retry_schedules == {"quick": (timedelta(seconds=10),), "none": ()}
    assert config.egress.allow_http is True
    expected = tuple(ip_network(each) for each in ("10.0.0.0/8", "fd00::/8", "127.0.0.1/32"))
    assert config.egress.allow_networks == expected
    assert config.egress.allow_ports == ((443, 443), (1024, 65535), (80, 80))
    assert config.log.format == "json"


def test_the_environment_sets_every_kind_of_value() -> None:
    config = loaded(
        WEBHOOKD_DELIVERY__CONCURRENCY="7",
        WEBHOOKD_DELIVERY__TIMEOUT=" 1s ",
        WEBHOOKD_DELIVERY__RETRY_SCHEDULE="1s, 2h",
        WEBHOOKD_DELIVERY__RETRY_SCHEDULES='{"quick": ["10s"]}',
        WEBHOOKD_EGRESS__ALLOW_HTTP="yes",
        WEBHOOKD_EGRESS__ALLOW_PORTS='["443", "1024-65535"]',
        WEBHOOKD_EGRESS__ALLOW_NETWORKS="127.0.0.0/8",
    )

    assert config.delivery.concurrency == 7
    assert config.delivery.timeout == timedelta(seconds=1)
    assert config.delivery.retry_schedule == (timedelta(seconds=1), timedelta(hours=2))
    assert config.delivery.retry_schedules == {"quick": (timedelta(seconds=10),)}
    assert config.egress.allow_http is True
    assert config.egress.allow_ports == ((443, 443), (1024, 65535))
    assert config.egress.allow_networks == (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("sources", "winner"),
    [
        (("file",), "config.toml:2"),
        (("file", "DATABASE_URL"), "DATABASE_URL"),
        (("file", "DATABASE_URL", "credential"), "credentials/database__url"),
        (("file", "DATABASE_URL", "credential", "variable"), "WEBHOOKD_DATABASE__URL"),
    ],
)
def test_the_environment_beats_credentials_which_beat_database_url_which_beats_the_file(
    sources: tuple[str, ...], winner: str
) -> None:
    toml = '[database]\nurl = "postgresql://h/file"' if "file" in sources else ""
    environ = {}
    if "DATABASE_URL" in sources:
        environ["DATABASE_URL"] = "postgresql://h/DATABASE_URL"
    if "credential" in sources:
        folder = credentials({"database__url": "postgresql://h/credential\n", "tls.key": "x"})
        environ["CREDENTIALS_DIRECTORY"] = folder
    if "variable" in sources:
        environ["WEBHOOKD_DATABASE__URL"] = "postgresql://h/variable"

    config = loaded(toml, **environ)

    assert config.database.url is not None
    assert config.database.url.get_secret_value() == f"postgresql://h/{sources[-1]}"
    assert config.origin("database.url") == winner


def test_a_default_has_no_origin() -> None:
    assert loaded("[delivery]\nconcurrency = 3").origin("delivery.timeout") is None


def test_an_empty_variable_counts_as_not_set() -> None:
    config = loaded('database.url = "postgresql://h/d"', WEBHOOKD_DATABASE__URL="", DATABASE_URL="")

    assert config.origin("database.url") == "config.toml:1"


def test_a_file_is_searched_in_the_order_of_the_contract() -> None:
    Path("etc.toml").write_text("admin.port = 1")
    in_etc = load(environ={})
    Path("config.toml").write_text("admin.port = 2")
    here = load(environ={})
    Path("named.toml").write_text("admin.port = 3")
    named = load(environ={"WEBHOOKD_CONFIG": "named.toml"})
    Path("given.toml").write_text("admin.port = 4")
    given_on_the_command_line = load(Path("given.toml"), environ={"WEBHOOKD_CONFIG": "named.toml"})

    found = [each.admin.port for each in (in_etc, here, named, given_on_the_command_line)]
    assert found == [1, 2, 3, 4]


def test_variables_of_other_programs_and_of_the_tests_are_ignored() -> None:
    config = loaded(WEBHOOKD_TEST_ANYTHING="x", WEBHOOK="x", PATH="x", DELIVERY__TIMEOUT="x")

    assert config.model_dump() == loaded().model_dump()


def test_the_process_s_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("WEBHOOKD_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("WEBHOOKD_ADMIN__PORT", "1234")

    assert load().admin.port == 1234
