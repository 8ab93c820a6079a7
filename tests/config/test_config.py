import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from daemon.config import Config, Database, Delivery, Egress, load
from daemon.config.sections import keys
from daemon.core.errors import ConfigError
from daemon.runtime.package_data import package_file

CANARY = "c4n4ry"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daemon.config.sources.PLACES", (Path("config.toml"), Path("etc.toml")))


def loaded(toml: str = "", **environ: str) -> Config:
    Path("config.toml").write_text(toml)
    return load(environ=environ)


def mistakes(toml: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(toml, **environ)
    return caught.value.mistakes


def credentials(files: Mapping[str, str | bytes]) -> str:
    folder = Path("credentials")
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def test_with_no_file_and_no_environment_the_defaults_hold() -> None:
    config = load(environ={})

    assert config.model_dump() == Config().model_dump()
    assert config.database.url is None
    assert config.delivery.timeout == timedelta(seconds=5)
    assert config.egress.allow_ports == ((443, 443), (8443, 8443))


def test_the_example_file_loads_to_exactly_the_defaults() -> None:
    config = load(package_file("config.example.toml"), environ={})

    assert config.model_dump() == Config().model_dump()


def test_the_example_file_lists_every_key_and_no_other() -> None:
    text = package_file("config.example.toml").read_text()
    without_default = re.compile(
        r"^# (?=(?:url|proxy|master_keys|smtp_url|from|console_url) = )", re.MULTILINE
    )

    tables = tomllib.loads(without_default.sub("", text))

    listed = {f"{section}.{key}" for section, table in tables.items() for key in table}
    assert listed == keys().keys()


def test_every_key_says_what_it_is_for() -> None:
    undocumented = [key for key, field in keys().items() if not field.description]

    assert undocumented == []


def test_a_file_sets_every_kind_of_value() -> None:
    config = loaded("""
        database.url = "postgresql://u@h/d"
        [delivery]
        concurrency = 7
        timeout = "1s500ms"
        retry_schedule = ["1s", "2h"]
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
        WEBHOOKD_EGRESS__ALLOW_HTTP="yes",
        WEBHOOKD_EGRESS__ALLOW_PORTS='["443", "1024-65535"]',
        WEBHOOKD_EGRESS__ALLOW_NETWORKS="127.0.0.0/8",
    )

    assert config.delivery.concurrency == 7
    assert config.delivery.timeout == timedelta(seconds=1)
    assert config.delivery.retry_schedule == (timedelta(seconds=1), timedelta(hours=2))
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


def test_a_file_is_looked_for_in_the_order_that_the_contract_gives() -> None:
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


def test_the_database_is_named_without_user_password_and_query() -> None:
    url = f"postgresql://u:{CANARY}@db.example:5433/mail?password={CANARY}"

    place = loaded(DATABASE_URL=url).database.place()

    assert place == "postgresql://db.example:5433/mail"


def test_a_configuration_cannot_be_changed() -> None:
    config = Config()

    with pytest.raises(ValidationError):
        config.admin.port = 1


def test_every_mistake_is_told_at_once_with_its_place() -> None:
    told = mistakes(
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
    assert told[:5] == [
        f"config.toml:3: delivery.timeout: {duration}",
        f"config.toml:6: delivery.retry_schedule[1]: {duration}",
        f"config.toml:9: egress.allow_networks[0]: 10.0.0.1/8 has host bits set; {network}",
        "config.toml:10: egress.allow_portz: unknown key; did you mean egress.allow_ports?",
        "config.toml:11: databse: unknown key; did you mean database?",
    ]
    assert sorted(told[5:]) == [
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
def test_a_wrong_value_is_told_in_words(toml: str, mistake: str) -> None:
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
    assert mistakes(**{name: CANARY}) == [f"{name}: unknown variable; did you mean {meant}?"]


def test_a_list_that_is_overridden_takes_its_lines_in_the_file_with_it() -> None:
    toml = "[egress]\nallow_ports = [\n'1',\n'2',\n]"

    (told,) = mistakes(toml, WEBHOOKD_EGRESS__ALLOW_PORTS="443,http")

    assert told.startswith("WEBHOOKD_EGRESS__ALLOW_PORTS: egress.allow_ports[1]: must be a port")


def test_variables_of_others_and_of_the_tests_are_left_alone() -> None:
    loaded(WEBHOOKD_TEST_ANYTHING="x", WEBHOOK="x", PATH="x", DELIVERY__TIMEOUT="x")


def test_a_mistyped_or_empty_credential_is_a_mistake() -> None:
    folder = credentials({"database__ur": CANARY, "admin__port": "\n", "log__level": b"\xff"})

    told = mistakes(CREDENTIALS_DIRECTORY=folder)

    assert told == [
        "credentials/admin__port: admin.port: the file is empty",
        "credentials/database__ur: unknown credential; did you mean database__url?",
        "credentials/log__level: is not UTF-8 text",
    ]


def test_a_credentials_folder_that_is_not_there_is_a_mistake() -> None:
    assert mistakes(CREDENTIALS_DIRECTORY="nowhere") == [
        "nowhere: CREDENTIALS_DIRECTORY cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("toml", "start"),
    [
        ("a = 1\nb = \n", "config.toml:2: is not TOML: Invalid value"),
        ("a = 1\n\n[delivery\n", "config.toml:3: is not TOML: "),
        ("a = [1,\n2,\n", "config.toml:3: is not TOML: "),
        ("a = 1\na = 2", "config.toml:2: is not TOML: Cannot overwrite a value"),
        (f"a = {'9' * 5000}", "config.toml:1: is not TOML: "),
        (f"a = {'[' * 5000}", "config.toml: is nested too deeply"),
    ],
)
def test_a_file_that_is_not_toml_is_told_with_its_line(toml: str, start: str) -> None:
    (told,) = mistakes(toml)

    assert told.startswith(start)


def test_a_file_that_is_not_utf8_is_told_with_its_line() -> None:
    Path("config.toml").write_bytes(b"# fine\n# \xff\n")

    with pytest.raises(ConfigError, match=r"^config\.toml:2: is not UTF-8 text$"):
        load(environ={})


def test_a_byte_order_mark_and_dos_line_ends_do_no_harm() -> None:
    Path("config.toml").write_bytes(b"\xef\xbb\xbf[admin]\r\nport = 1\r\nhost = 5\r\n")

    with pytest.raises(
        ConfigError, match=r"^config\.toml:3: admin\.host: should be a valid string"
    ):
        load(environ={})


def test_a_named_file_that_is_missing_is_told_with_who_named_it() -> None:
    with pytest.raises(
        ConfigError, match=r"^no\.toml: there is no such file \(--config names it\)$"
    ):
        load(Path("no.toml"), environ={})
    with pytest.raises(ConfigError, match=r"^no\.toml: .*\(WEBHOOKD_CONFIG names it\)$"):
        load(environ={"WEBHOOKD_CONFIG": "no.toml"})


def test_a_file_that_cannot_be_read_is_one_clear_sentence() -> None:
    Path("config.toml").mkdir()

    with pytest.raises(ConfigError) as caught:
        load(environ={})

    assert caught.value.mistakes == ["config.toml: cannot be read: Is a directory"]


def test_mistakes_in_the_environment_are_told_even_when_the_file_cannot_be_read() -> None:
    told = mistakes("nonsense", WEBHOOKD_ADMIN__PORT="x")

    assert [each.partition(":")[0] for each in told] == ["config.toml", "WEBHOOKD_ADMIN__PORT"]


SECRET_KEYS = ("database.url", "notifications.smtp_url", "admin.tokens", "security.master_keys")
BAD_SECRETS = [
    f"mysql://u:{CANARY}@h/d",
    f"postgresql://u:{CANARY}@h:port/d",
    f"postgresql://u:{CANARY}@[h/d",
    f"postgresql://u:{CANARY}\u2100@h/d",  # urlsplit quotes a netloc that NFKC changes
    f"postgresql://u:{CANARY}?x@h/d",
    f"postgresql://u:{CANARY}#x@h/d",
    f"postgresql://u:{CANARY}/x@h/d",
    f"postgresql://u:1?{CANARY}@h/d",
    f"postgresql://u:1#{CANARY}@h/d",
    f"postgresql://u:1/{CANARY}@h/d",
    f"postgresql://u:p {CANARY}@h/d",
    f"smtp://u:{CANARY}@h:99999",
    f"smtp://u:{CANARY}@",
    f"{CANARY}\u00e9",
    f'["{CANARY}\u00e9", 5]',
    f'["{CANARY}\u00e9"',
]


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_no_mistake_quotes_a_secret(key: str, secret: str) -> None:
    variable = "WEBHOOKD_" + key.replace(".", "__").upper()
    wrong = "zzz = 1\n"  # so that there is a mistake even where this secret is a good one
    written = json.dumps(secret)

    told = mistakes(f"{wrong}{key} = {written}") + mistakes(f"{wrong}{key} = [{written}, 5]")
    told += mistakes(f"{wrong}{key} = {secret}") + mistakes(wrong, **{variable: secret})

    assert CANARY not in "\n".join(told)


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_a_url_that_cannot_be_meant_is_refused_before_it_is_used(secret: str) -> None:
    (told,) = mistakes(DATABASE_URL=secret)

    assert told.startswith("DATABASE_URL: database.url: ")


@pytest.mark.parametrize("toml", [f"{CANARY}.x = '{CANARY}'"])
def test_a_value_under_an_unknown_key_is_not_quoted(toml: str) -> None:
    (told,) = mistakes(toml)

    assert told == f"config.toml:1: {CANARY}: unknown key"


def test_pydantics_own_errors_quote_no_secret_either() -> None:
    with pytest.raises(ValidationError) as caught:
        Database.model_validate({"url": f"mysql://u:{CANARY}@h/d"})

    assert CANARY not in str(caught.value)


def test_secrets_show_neither_in_repr_nor_in_dumps() -> None:
    config = loaded(
        f"""
        database.url = "postgresql://u:{CANARY}@h/d"
        admin.tokens = ["{CANARY * 3}"]
        security.master_keys = "{CANARY * 6}"
        egress.proxy = "http://u:{CANARY}@h:3128"
        notifications.smtp_url = "smtps://u:{CANARY}@h:465"
        notifications.from = "hooks@example.com"
        """
    )

    shown = f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"
    assert CANARY not in shown
    assert config.security.master_keys[0].get_secret_value() == CANARY * 6


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
def test_database_urls_that_the_driver_takes_are_taken(url: str) -> None:
    assert loaded(DATABASE_URL=url).origin("database.url") == "DATABASE_URL"


def test_retention_is_a_duration_of_a_second_or_more() -> None:
    kept = loaded("[retention]\nevents = '1s'\ndeliveries = '36500d'").retention

    assert kept.events == timedelta(seconds=1)
    assert kept.deliveries == timedelta(days=36500)


def test_notifications_take_one_address_or_many_and_a_page() -> None:
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
        "config.toml:1: notifications: smtp_url is set, but not from: mail needs a sender's address"
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
        "notifications.console_url = 'https://'",
        "notifications.console_url = 'javascript:alert(1)'",
        "notifications.console_url = 'https://user@h'",
        "notifications.console_url = 'https://h/?q'",
        "notifications.to = ['a@b', \"a@b\\nBcc: c@d\"]",
        "retention.events = '0s'",
        "retention.deliveries = 30",
    ],
)
def test_each_setting_must_have_its_shape(toml: str) -> None:
    (told,) = mistakes(toml)

    assert told.startswith("config.toml:1: ")


@given(st.integers(-1, 70_000), st.integers(-1, 70_000))
def test_a_port_range_is_taken_exactly_when_it_lies_within_1_to_65535(low: int, high: int) -> None:
    try:
        taken = Egress.model_validate({"allow_ports": [f"{low}-{high}"]}).allow_ports
    except ValidationError:
        taken = ()

    assert taken == (((low, high),) if 1 <= low <= high <= 65535 else ())


@pytest.mark.parametrize(
    "port", ["", "443-", "-443", "http", "1-2-3", " 443", "\u0664\u0664\u0663", True, 1.5, None]
)
def test_what_is_not_a_port_is_refused(port: object) -> None:
    with pytest.raises(ValidationError):
        Egress.model_validate({"allow_ports": [port]})


def test_sections_can_be_built_from_values_as_well_as_from_texts() -> None:
    assert Delivery(timeout=timedelta(seconds=2)).timeout == timedelta(seconds=2)
    assert Egress(allow_ports=((1, 2),)).allow_ports == ((1, 2),)


def test_the_real_environment_is_what_counts_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("WEBHOOKD_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("WEBHOOKD_ADMIN__PORT", "1234")

    assert load().admin.port == 1234


def test_a_short_token_is_a_mistake_that_names_its_setting_and_not_the_token() -> None:
    """Whoever has a tenant's token could find it by trying, far from any limit of ours."""
    [mistake] = mistakes("[admin]\ntokens = ['0123456789abcde']")

    assert mistake.startswith("config.toml:2: admin.tokens")
    assert "a token has fewer than 16 characters: `openssl rand -hex 32`" in mistake
    assert "0123456789" not in mistake
    assert loaded("[admin]\ntokens = ['0123456789abcdef']").admin.tokens
