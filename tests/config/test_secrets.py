"""Secrets in the configuration appear in no message, repr or dump."""

import json

import pytest
from pydantic import ValidationError

from daemon.config import Database
from daemon.config.database_name import database_name
from tests.config.loading import loaded, mistakes

CANARY = "c4n4ry"
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

    reported = mistakes(f"{wrong}{key} = {written}") + mistakes(f"{wrong}{key} = [{written}, 5]")
    reported += mistakes(f"{wrong}{key} = {secret}") + mistakes(wrong, **{variable: secret})

    assert CANARY not in "\n".join(reported)


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_a_malformed_database_url_is_rejected_at_load(secret: str) -> None:
    (reported,) = mistakes(DATABASE_URL=secret)

    assert reported.startswith("DATABASE_URL: database.url: ")


@pytest.mark.parametrize("toml", [f"{CANARY}.x = '{CANARY}'"])
def test_a_value_under_an_unknown_key_is_not_quoted(toml: str) -> None:
    (reported,) = mistakes(toml)

    assert reported == f"config.toml:1: {CANARY}: unknown key"


def test_pydantic_s_own_errors_quote_no_secret_either() -> None:
    with pytest.raises(ValidationError) as caught:
        Database.model_validate({"url": f"mysql://u:{CANARY}@h/d"})

    assert CANARY not in str(caught.value)


def test_secrets_appear_neither_in_repr_nor_in_dumps() -> None:
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
    ("url", "environ", "name"),
    [
        (f"postgresql://u:{CANARY}@db:5433/mail?password={CANARY}", {}, "u@db:5433/mail"),
        ("postgresql://a,b:6/mail?user=u&sslmode=require", {}, "u@a:5432,b:6/mail"),
        ("postgresql://u@[::1]/", {"PGPORT": "7"}, "u@[::1]:7/u"),
        ("postgresql:///mail?host=/run/pg", {"PGUSER": "me"}, "me@/run/pg:5432/mail"),
        ("postgres://", {"PGUSER": "me", "PGHOST": "h", "PGDATABASE": "d"}, "me@h:5432/d"),
    ],
)
def test_the_name_of_a_database_has_every_default_and_no_password(
    url: str, environ: dict[str, str], name: str
) -> None:
    assert database_name(url, environ) == f"postgresql://{name}"


def test_a_short_token_is_a_mistake_that_names_its_setting_and_not_the_token() -> None:
    """A holder of a tenant's token can guess against it without any rate limit."""
    [mistake] = mistakes("[admin]\ntokens = ['0123456789abcde']")

    assert mistake.startswith("config.toml:2: admin.tokens")
    assert "a token has fewer than 16 characters: `openssl rand -hex 32`" in mistake
    assert "0123456789" not in mistake
    assert loaded("[admin]\ntokens = ['0123456789abcdef']").admin.tokens
