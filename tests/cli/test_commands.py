"""The command line as a whole: help, version, and usage errors of every command."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from daemon import cli
from tests.support.commandline import CANARY, environment, one_line, webhookd

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_help_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["webhookd", name, "--help"])

    with pytest.raises(SystemExit) as end:
        cli.main()

    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert f"Usage: webhookd {name}" in out


async def test_the_help_names_every_command_in_order(tmp_path: Path) -> None:
    ended = await webhookd("--help", folder=tmp_path)

    assert re.findall(r"^│ ([a-z][a-z-]*)  ", ended.out, re.MULTILINE) == [*cli.COMMANDS]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_stands_in_the_module_that_is_imported_for_it(name: str) -> None:
    cli._register(name)

    modules = [
        each.callback.__module__
        for each in cli.app.registered_commands
        if each.callback is not None and (each.name or each.callback.__name__) == name
    ]
    assert modules == [f"daemon.cli.{cli.COMMANDS[name]}"]


async def test_the_version_is_one_line(tmp_path: Path) -> None:
    ended = await webhookd("--version", folder=tmp_path)

    assert ended.code == 0
    assert re.fullmatch(r"webhookd,? [^\n]+\n", ended.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["migrat"], "Did you mean 'migrate'?"),
        (["listen", "--prot", "1"], "No such option: --prot"),
        (["listen", "--port", "70000"], "--port: "),
        (["listen", "--status", "99"], "--status: "),
        (["listen", "--status", "500", "--forward-to", "http://127.0.0.1"], "one of them only"),
        (["listen", "--forward-to", "localhost:3000"], "--forward-to: "),
        (["listen", "--secret", ""], "--secret: the secret is empty"),
        (["verify", "--secret", CANARY], "--signature"),
        (["verify", "--signature", "sha256=00"], "WEBHOOK_SECRET"),
        (["verify", CANARY, "--signature", "sha256=00"], "unexpected extra argument"),
        (["files", "README"], "there is no file README"),
        (["files", "--to", "x"], "need the name of a file"),
        (["files", "README.md", "--json"], "--json: lists files"),
        (["trigger"], "TYPE"),
        (["trigger", "email.opend"], "did you mean email.opened?"),
        (["trigger", "x.y"], "email.sent, email.delivered"),
        (["trigger", "x" * 101, "--data", "{}"], "1 to 100 characters"),
        (["trigger", "x.y", "--data", "{"], "--data: this is not JSON"),
        (["trigger", "x.y", "--data", "@missing.json"], "missing.json: No such file"),
        (["trigger", "email.sent", "--tenant", "7"], "--tenant: "),
        (["demo", "--seconds", "soon"], "--seconds: "),
        (["pause"], "WEBHOOK"),
        (["resume", "7"], "WEBHOOK"),
        (["retry"], "either a delivery, or --webhook"),
        (["retry", ID, "--webhook", ID], "either a delivery, or --webhook"),
        (["retry", ID, "--from", "2h"], "valid only with --webhook"),
        (["retry", "--webhook", ID], "--from: is required"),
        (["replay"], "one of --webhook, --status and --cancel"),
        (["replay", "--status", ID, "--cancel", ID], "one of --webhook, --status and --cancel"),
        (["replay", "--cancel", ID, "--dry-run"], "no other option of a replay"),
        (["replay", "--webhook", ID, "--from", "yesterday"], "--from: must be a time like"),
        (["replay", "--webhook", ID, "--from", "2025-11-31T14:00:00"], "--from: must be a time"),
        (["listen", "--delay", "soon"], "--delay: must be a duration"),
        (["replay", "--webhook", ID, "--from", "1h", "--to", "2h"], "must be before --to"),
        (["replay", "--webhook", ID, "--from", "2999-01-01"], "must be before --to"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["webhookd", *arguments])
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)

    with pytest.raises(SystemExit) as end:
        cli.main()

    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert one_line(err)
    assert message in err
    assert CANARY not in err


async def test_a_missing_or_unknown_command_exits_with_2(
    tmp_path: Path,
) -> None:
    nothing, unknown = await asyncio.gather(
        webhookd(folder=tmp_path), webhookd("lisen", folder=tmp_path)
    )

    assert (nothing.code, unknown.code) == (2, 2)
    assert "Usage: webhookd" in nothing.out
    assert one_line(unknown.err)


def test_commands_under_test_inherit_no_configuration() -> None:
    expected = {"PATH", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONUNBUFFERED"}
    # The one authority that tests trust, and that their PostgreSQL has no TLS.
    assert environment().keys() <= expected | {"SSL_CERT_FILE", "SSL_CERT_DIR", "PGSSLMODE"}


async def test_an_error_quotes_no_character_that_controls_the_terminal(tmp_path: Path) -> None:
    ended = await webhookd("trigger", "email.\u202e\x9bopened", folder=tmp_path)

    assert ended.code == 2
    assert "\\u202e\\x9b" in ended.err
    assert ended.err.removesuffix("\n").isprintable()


async def test_an_error_quotes_text_of_any_script_as_it_is(tmp_path: Path) -> None:
    ended = await webhookd("trigger", "email.נפתח.開封", folder=tmp_path)

    assert "email.נפתח.開封" in ended.err
