"""Find and read the TOML file."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from daemon.config.draft import Draft
from daemon.config.setting_source import Origin
from daemon.config.toml_lines import KeyPath, lines_of

CONFIG_VARIABLE = "WEBHOOKD_CONFIG"
DEFAULT_PATHS = (Path("config.toml"), Path("/etc/penguinmails-webhooks/config.toml"))


def read_toml_file(draft: Draft, path: Path | None, environ: Mapping[str, str]) -> None:
    """Read `path`, or else the file that WEBHOOKD_CONFIG names, or else the first default path."""
    found = _find(draft, path, environ)
    if found is None:
        return
    name, content = found
    try:
        text = content.decode("utf-8-sig")
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        draft.add_mistake(Origin(name, line), "is not UTF-8 text")
    except RecursionError:
        draft.add_mistake(Origin(name), "is nested too deeply")
    except ValueError as error:  # TOMLDecodeError, or a number with thousands of digits
        draft.add_mistake(*_syntax_mistake(name, text, str(error)))
    else:
        lines = _lines(text)
        draft.set_file(tables, {key_path: Origin(name, line) for key_path, line in lines.items()})


def _find(draft: Draft, path: Path | None, environ: Mapping[str, str]) -> tuple[str, bytes] | None:
    named = path or environ.get(CONFIG_VARIABLE)
    for candidate in [Path(named)] if named else DEFAULT_PATHS:
        try:
            return str(candidate), candidate.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if named:
                source = "--config" if path else CONFIG_VARIABLE
                draft.add_mistake(Origin(str(candidate)), f"no such file (named by {source})")
        except OSError as error:
            draft.add_mistake(Origin(str(candidate)), f"cannot be read: {error.strerror}")
            return None
    return None


def _syntax_mistake(name: str, text: str, error: str) -> tuple[Origin, str]:
    message, _, position = error.partition(" (at ")
    line = re.match(r"line (\d+)", position)
    number = int(line[1]) if line else text.count("\n") + 1
    return Origin(name, number), f"is not valid TOML: {message}"


def _lines(text: str) -> dict[KeyPath, int]:
    try:
        return lines_of(text)
    except (ValueError, IndexError, RecursionError):
        return dict.fromkeys(((key,) for key in tomllib.loads(text)), 0)
