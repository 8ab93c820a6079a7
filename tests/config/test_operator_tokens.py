"""admin.tokens: strings and tables, from every source; names and scopes."""

import json

import pytest

from daemon.core.model.access import Scope
from tests.config.loading import credentials, loaded, mistakes

A, B = "first-token-" + "a" * 20, "second-token-" + "b" * 20
TABLE = f'{{name = "reports", token = "{B}", scope = "read"}}'


def tokens(toml: str = "", **environ: str) -> list[tuple[str, str, Scope]]:
    return [
        (each.name, each.token.get_secret_value(), each.scope)
        for each in loaded(toml, **environ).admin.tokens
    ]


def test_a_string_is_a_token_of_full_scope_named_by_its_place() -> None:
    assert tokens(f'admin.tokens = ["{A}", "{B}"]') == [
        ("token-1", A, Scope.FULL),
        ("token-2", B, Scope.FULL),
    ]


def test_a_table_has_a_name_and_a_scope_which_is_full_by_default() -> None:
    found = tokens(f'admin.tokens = ["{A}", {TABLE}]')

    assert found == [("token-1", A, Scope.FULL), ("reports", B, Scope.READ)]
    assert tokens(f'[[admin.tokens]]\nname = "deploy"\ntoken = "{A}"') == [
        ("deploy", A, Scope.FULL)
    ]


def test_variables_and_credential_files_take_both_forms() -> None:
    written = json.dumps([A, {"name": "reports", "token": B, "scope": "read"}])
    expected = [("token-1", A, Scope.FULL), ("reports", B, Scope.READ)]
    folder = credentials({"admin__tokens": written})

    assert tokens(WEBHOOKD_ADMIN__TOKENS=written) == expected
    assert tokens(CREDENTIALS_DIRECTORY=folder) == expected
    assert tokens(WEBHOOKD_ADMIN__TOKENS=f"{A}, {B}") == [
        ("token-1", A, Scope.FULL),
        ("token-2", B, Scope.FULL),
    ]


@pytest.mark.parametrize("name", ["Zoë", "מפעילים", "運用", "ci@example.com", "on call, 2nd line"])
def test_a_name_may_be_in_any_script(name: str) -> None:
    [(found, _, _)] = tokens(f'admin.tokens = [{{name = "{name}", token = "{A}"}}]')

    assert found == name


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (f'[{{token = "{A}"}}]', "admin.tokens[0].name: Field required"),
        ('[{name = "x"}]', "admin.tokens[0].token: Field required"),
        (f'[{{name = "", token = "{A}"}}]', "admin.tokens[0].name: String should have at least"),
        (f'[{{name = "{"x" * 65}", token = "{A}"}}]', "admin.tokens[0].name: String should have"),
        (f'[{{name = "a\\u202eb", token = "{A}"}}]', "admin.tokens[0].name: must be plain text"),
        (f'[{{name = " a", token = "{A}"}}]', "admin.tokens[0].name: must be plain text"),
        (f'[{{name = "x {A}", token = "{A}"}}]', "admin.tokens[0]: the name contains the token"),
        (f'[{{name = "x", token = "{A}", scope = "{A}"}}]', "should be 'full' or 'read'"),
        (f'[{{name = "x", token = "{A}", role = "y"}}]', "admin.tokens[0].role: unknown key"),
        ("[5]", "admin.tokens[0]: must be a token in quotes, or a table"),
        (f'["{A}", "{A}"]', 'admin.tokens: "token-1" and "token-2" are the same token'),
        (
            f'["{A}", {{name = "token-1", token = "{B}"}}]',
            'admin.tokens: two tokens have the name "token-1"',
        ),
    ],
)
def test_a_mistake_names_its_place_and_quotes_no_token(written: str, expected: str) -> None:
    [mistake] = mistakes(f"[admin]\ntokens = {written}")

    assert mistake.startswith("config.toml:2: ")
    assert expected in mistake
    assert A not in mistake
    assert B not in mistake
