"""
From files and environment to one checked `Config`, or to every mistake at once.

Each value keeps its origin, so that a mistake names a file and line or a variable. No mistake
quotes a value that may be secret.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from daemon.config.sections import Config, keys
from daemon.config.toml_lines import KeyPath, lines_of
from daemon.core.errors import ConfigError

PREFIX = "WEBHOOKD_"
CONFIG_VARIABLE = "WEBHOOKD_CONFIG"
TEST_PREFIX = "WEBHOOKD_TEST_"
PLACES = (Path("config.toml"), Path("/etc/penguinmails-webhooks/config.toml"))

FIELDS = keys()
VARIABLES = {PREFIX + key.upper().replace(".", "__"): key for key in FIELDS}
CREDENTIALS = {key.replace(".", "__"): key for key in FIELDS}

SWITCHES = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def load(path: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Config:
    """
    Read the settings from `path`, else from the first of the usual places that has a file.

    Raises ConfigError, which holds every mistake as a line: `config.toml:12: delivery.timeout: …`.
    """
    draft = _Draft()
    _read_file(draft, path, environ)
    if url := environ.get("DATABASE_URL", "").strip():
        draft.put("database.url", url, _Origin("DATABASE_URL"))
    _read_credentials(draft, environ)
    _read_variables(draft, environ)
    return draft.checked()


@dataclass(frozen=True, slots=True)
class _Origin:
    name: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name

    def rank(self) -> tuple[bool, int]:
        """Sort mistakes as one mends them: down the file, then the rest."""
        return (not self.line, self.line)


class _Draft:
    """The settings as found so far: a tree of tables, where each path comes from, the mistakes."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.origins: dict[KeyPath, _Origin] = {}
        self.mistakes: list[tuple[_Origin, str]] = []

    def mistake(self, origin: _Origin, sentence: str) -> None:
        self.mistakes.append((origin, sentence))

    def put(self, key: str, value: object, origin: _Origin) -> None:
        """Set `key` over whatever a weaker source said."""
        section, name = key.split(".")
        table = self.tree.setdefault(section, {})
        if not isinstance(table, dict):
            return  # The file has no table there, and is told so.
        table[name] = value
        for path in [path for path in self.origins if path[:2] == (section, name)]:
            del self.origins[path]  # lines of list elements that are no longer there
        self.origins[section, name] = origin

    def checked(self) -> Config:
        config = Config()
        try:
            config = Config.model_validate(self.tree)
        except ValidationError as invalid:
            # Neither inputs nor context: both may hold a secret.
            for error in invalid.errors(include_url=False, include_input=False):
                self.mistake(self.origin(error["loc"]), _sentence(error))
        if self.mistakes:
            ordered = sorted(self.mistakes, key=lambda mistake: mistake[0].rank())
            raise ConfigError([f"{origin}: {sentence}" for origin, sentence in ordered])
        config._origins = {_dotted(path): str(self.origins[path]) for path in self.origins}
        return config

    def origin(self, path: KeyPath) -> _Origin:
        """Find the nearest one known: the path's own, its list's, its table's, a neighbour's."""
        for length in range(len(path), 0, -1):
            if found := self.origins.get(path[:length]):
                return found
        return next(origin for at, origin in self.origins.items() if at[0] == path[0])


def _read_file(draft: _Draft, path: Path | None, environ: Mapping[str, str]) -> None:
    found = _find(draft, path, environ)
    if found is None:
        return
    name, content = found
    try:
        text = content.decode("utf-8-sig")
        draft.tree = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        draft.mistake(_Origin(name, line), "is not UTF-8 text")
    except RecursionError:
        draft.mistake(_Origin(name), "is nested too deeply")
    except ValueError as error:  # TOMLDecodeError, or a number with thousands of digits
        draft.mistake(*_syntax_mistake(name, text, str(error)))
    else:
        draft.origins = {path: _Origin(name, line) for path, line in _lines(text).items()}


def _find(draft: _Draft, path: Path | None, environ: Mapping[str, str]) -> tuple[str, bytes] | None:
    named = path or environ.get(CONFIG_VARIABLE)
    for place in [Path(named)] if named else PLACES:
        try:
            return str(place), place.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if named:
                by = "--config" if path else CONFIG_VARIABLE
                draft.mistake(_Origin(str(place)), f"there is no such file ({by} names it)")
        except OSError as error:
            draft.mistake(_Origin(str(place)), f"cannot be read: {error.strerror}")
            return None
    return None


def _syntax_mistake(name: str, text: str, said: str) -> tuple[_Origin, str]:
    message, _, place = said.partition(" (at ")
    line = re.match(r"line (\d+)", place)
    number = int(line[1]) if line else text.count("\n") + 1
    return _Origin(name, number), f"is not TOML: {message}"


def _lines(text: str) -> dict[KeyPath, int]:
    try:
        return lines_of(text)
    except (ValueError, IndexError, RecursionError):
        return dict.fromkeys(((key,) for key in tomllib.loads(text)), 0)


def _read_credentials(draft: _Draft, environ: Mapping[str, str]) -> None:
    """Read systemd's credentials; a file without `__` in its name is not meant for us."""
    if not (folder := environ.get("CREDENTIALS_DIRECTORY")):
        return
    try:
        files = sorted(path for path in Path(folder).iterdir() if "__" in path.name)
    except OSError as error:
        draft.mistake(_Origin(folder), f"CREDENTIALS_DIRECTORY cannot be read: {error.strerror}")
        return
    for file in files:
        _read_credential(draft, file)


def _read_credential(draft: _Draft, file: Path) -> None:
    origin = _Origin(str(file))
    key = CREDENTIALS.get(file.name)
    if key is None:
        draft.mistake(origin, f"unknown credential{_meant(file.name, CREDENTIALS)}")
        return
    try:
        text = file.read_text("utf-8").strip()
    except OSError as error:
        draft.mistake(origin, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        draft.mistake(origin, "is not UTF-8 text")
    else:
        if text:
            _put_text(draft, key, text, origin)
        else:
            draft.mistake(origin, f"{key}: the file is empty")


def _read_variables(draft: _Draft, environ: Mapping[str, str]) -> None:
    for name, value in sorted(environ.items()):
        if not name.upper().startswith(PREFIX) or name.startswith(TEST_PREFIX):
            continue
        if name == CONFIG_VARIABLE:
            continue
        key = VARIABLES.get(name)
        if key is None:
            meant = _meant(name, [*VARIABLES, CONFIG_VARIABLE])
            draft.mistake(_Origin(_shown(name)), f"unknown variable{meant}")
        elif text := value.strip():
            _put_text(draft, key, text, _Origin(name))


def _put_text(draft: _Draft, key: str, text: str, origin: _Origin) -> None:
    try:
        draft.put(key, _from_text(FIELDS[key], text), origin)
    except ValueError as error:
        draft.mistake(origin, f"{key}: {error}")


def _from_text(field: FieldInfo, text: str) -> object:
    """Give a text the type that TOML would have given it; lists are JSON or comma-separated."""
    if get_origin(field.annotation) is tuple:
        return _list(text)
    if field.annotation is bool:
        if text.lower() not in SWITCHES:
            raise ValueError("must be true or false")
        return SWITCHES[text.lower()]
    if field.annotation is int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ValueError("must be a whole number")
        return int(text)
    return text


def _list(text: str) -> object:
    if not text.startswith("["):
        return [item for part in text.split(",") if (item := part.strip())]
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("must be a JSON list, or items with commas between them") from None


def _sentence(error: Mapping[str, Any]) -> str:
    key = _dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            tables = dict.fromkeys(key.partition(".")[0] for key in FIELDS)
            return f"{key}: unknown key{_meant(key, [*FIELDS, *tables])}"
        case "model_type" | "model_attributes_type":
            return f"{key}: must be a table, [{key}]"
        case "tuple_type":
            return f"{key}: must be a list"
        case _:
            message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
            return f"{key}: {message}"


def _meant(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name; one that only lacks its section is near as well."""
    known = list(known)
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in known], n=1)
    found = [each for each in known if each.lower() in near or each.endswith(f".{name}")]
    return f"; did you mean {found[0]}?" if found else ""


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_shown(part)}"
    return text.removeprefix(".")


def _shown(name: str) -> str:
    """Quote a name that is not a bare word: it must not break the line."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) else json.dumps(name[:80])
