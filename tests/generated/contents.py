"""The generated files and their contents."""

from pathlib import Path

from typer.completion import get_completion_script  # type: ignore[attr-defined]  # not in __all__

from tests.generated.configuration import configuration_page
from tests.generated.manual import manual_page

ROOT = Path(__file__).parents[2]
SHELLS = ("bash", "zsh", "fish")
# zsh autoloads the file: it runs as a whole at the first Tab, which should complete already.
AUTOLOADED = '[ "$funcstack[1]" = "_webhookd" ] && _webhookd_completion "$@"\n'


def generated() -> dict[str, str]:
    """The content of each generated file, by its path in the repository."""
    return {
        "docs/configuration.md": configuration_page(),
        "man/webhookd.1": manual_page(),
        **{f"completions/webhookd.{shell}": _completion(shell) for shell in SHELLS},
    }


def _completion(shell: str) -> str:
    """Typer's script, which asks the program itself what may come next."""
    script: str = get_completion_script(
        prog_name="webhookd", complete_var="_WEBHOOKD_COMPLETE", shell=shell
    )
    return f"{script.strip()}\n{AUTOLOADED if shell == 'zsh' else ''}"
