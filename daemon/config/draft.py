"""
The settings as read so far, before validation.

Each value keeps its origin, so that a mistake names a file and line or a variable. No mistake
quotes a value that may be secret.
"""

from typing import Any

from pydantic import ValidationError

from daemon.config.config import Config, fields_by_key
from daemon.config.error_messages import dotted, validation_message
from daemon.config.setting_source import Origin
from daemon.config.text_values import parse_text
from daemon.config.toml_lines import KeyPath
from daemon.core.errors import ConfigError


class Draft:
    """A tree of TOML tables, the origin of each key path, and the mistakes found so far."""

    def __init__(self) -> None:
        self._tables: dict[str, Any] = {}
        self._origins: dict[KeyPath, Origin] = {}
        self._mistakes: list[tuple[Origin, str]] = []

    def set_file(self, tables: dict[str, Any], origins: dict[KeyPath, Origin]) -> None:
        """Start from the content of a TOML file."""
        self._tables, self._origins = tables, origins

    def set_text(self, key: str, text: str, origin: Origin) -> None:
        """Set `key` from a source that has only text, over the value of any weaker source."""
        try:
            self._set(key, parse_text(fields_by_key()[key], text), origin)
        except ValueError as error:
            self.add_mistake(origin, f"{key}: {error}")

    def add_mistake(self, origin: Origin, message: str) -> None:
        """Record a mistake; `validate` raises all of them at once."""
        self._mistakes.append((origin, message))

    def validate(self) -> Config:
        """Check everything that was read. Raises ConfigError with every mistake found."""
        config = Config()
        try:
            config = Config.model_validate(self._tables)
        except ValidationError as invalid:
            # Neither inputs nor context: both may hold a secret.
            for error in invalid.errors(include_url=False, include_input=False):
                self.add_mistake(self._origin(error["loc"]), validation_message(error))
        if self._mistakes:
            ordered = sorted(self._mistakes, key=lambda mistake: mistake[0].sort_key())
            raise ConfigError([f"{origin}: {message}" for origin, message in ordered])
        return config.with_origins(
            {dotted(path): str(origin) for path, origin in self._origins.items()}
        )

    def _set(self, key: str, value: object, origin: Origin) -> None:
        section, name = key.split(".")
        table = self._tables.setdefault(section, {})
        if not isinstance(table, dict):
            return  # Validation reports that the file has no table there.
        table[name] = value
        # The lines of the file's list elements no longer apply.
        for path in [path for path in self._origins if path[:2] == (section, name)]:
            del self._origins[path]
        self._origins[section, name] = origin

    def _origin(self, path: KeyPath) -> Origin:
        """Return the nearest known origin: of the path, its list, its table, or a sibling key."""
        for length in range(len(path), 0, -1):
            if found := self._origins.get(path[:length]):
                return found
        return next(origin for at, origin in self._origins.items() if at[0] == path[0])
