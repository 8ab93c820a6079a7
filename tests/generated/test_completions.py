"""The shells complete commands and options, and the man page renders without a warning."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon import cli
from tests.generated.contents import ROOT
from tests.support.commandline import environment
from tests.support.forked_process import shell_command

MANUAL = ROOT / "man" / "webhookd.1"
# What each shell does when somebody presses Tab after these words.
BASH = """
source {file}
COMP_WORDS=({words}) COMP_CWORD={last}
_webhookd_completion webhookd
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = "source {file}; complete --do-complete '{words}'"
ZSH = """
autoload -U compinit; compinit -u -D
_arguments() {{ printf '%s\\n' "$@" }}
source {file}
words=({words}) CURRENT={number}
_webhookd_completion
"""


def offered(shell: str, words: str, folder: Path) -> str:
    """What a real shell offers, with `webhookd` on its path."""
    program = folder / "webhookd"
    program.write_text(f'#!/bin/sh\nexec {shell_command()} "$@"\n')
    program.chmod(0o755)
    script = {"bash": BASH, "fish": FISH, "zsh": ZSH}[shell].format(
        file=ROOT / "completions" / f"webhookd.{shell}",
        words=words,
        last=len(words.split()) - 1,
        number=len(words.split()),
    )
    done = subprocess.run(
        [shell, *(["-f"] if shell == "zsh" else []), "-c", script],
        env=environment({"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "rror" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")

    commands = offered(shell, "webhookd re", tmp_path)
    options = offered(shell, "webhookd list --st", tmp_path)

    assert all(name in commands for name in ("retry", "replay", "release"))
    assert "migrate" not in commands
    assert "--state" in options
    assert "--tenant" not in options


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_the_man_page_renders_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-l", str(MANUAL)],
        env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "webhookd migrate [OPTIONS]" in done.stdout


def test_the_man_page_has_every_command() -> None:
    cli._register()
    text = MANUAL.read_text()

    names = [each.name or "" for each in cli.app.registered_commands if each.name]
    assert names
    assert all(f".SS webhookd {name.replace('-', chr(92) + '-')}" in text for name in names)
