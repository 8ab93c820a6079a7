"""The whole configuration: one frozen `Config` with a section for each TOML table."""

from collections.abc import Mapping
from functools import cache

from pydantic import PrivateAttr
from pydantic.fields import FieldInfo

from daemon.config.sections import (
    Admin,
    Database,
    Delivery,
    Egress,
    Installation,
    Limits,
    Log,
    Notifications,
    Retention,
    Section,
    Security,
    Tracing,
)

# A running daemon cannot take these over: its connections to the database, its listening socket.
NEEDS_RESTART = frozenset(
    {
        *(f"database.{name}" for name in Database.model_fields),
        *("installation.name", "admin.host", "admin.port"),
    }
)


class Config(Section):
    """All settings. `Config()` holds the defaults; `load` reads the operator's."""

    database: Database = Database()
    installation: Installation = Installation()
    delivery: Delivery = Delivery()
    egress: Egress = Egress()
    limits: Limits = Limits()
    admin: Admin = Admin()
    security: Security = Security()
    notifications: Notifications = Notifications()
    retention: Retention = Retention()
    tracing: Tracing = Tracing()
    log: Log = Log()

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def with_origins(self, origins: Mapping[str, str]) -> "Config":
        """Return a copy that knows where each key was set."""
        copy = self.model_copy()
        copy._origins = dict(origins)
        return copy

    def origin(self, key: str) -> str | None:
        """Return where `"database.url"` was set: `config.toml:3`, a variable, a file, or None."""
        return self._origins.get(key)

    def differences(self, other: "Config") -> list[str]:
        """Return the keys, like `"delivery.timeout"`, whose values differ."""
        return [key for key in fields_by_key() if self._value(key) != other._value(key)]

    def reloaded(self, running: "Config") -> "Config":
        """Return a copy with the values of `running` for the settings that need a restart."""
        copy = self.model_copy()
        for key in NEEDS_RESTART:
            section, name = key.split(".")
            table = getattr(copy, section).model_copy(update={name: running._value(key)})
            copy = copy.model_copy(update={section: table})
        return copy

    def _value(self, key: str) -> object:
        section, name = key.split(".")
        return getattr(getattr(self, section), "from_" if name == "from" else name)


@cache
def fields_by_key() -> Mapping[str, FieldInfo]:
    """Map every key, like `"database.url"`, to its pydantic field."""
    fields = {}
    for section, table in Config.model_fields.items():
        assert isinstance(table.annotation, type)
        assert issubclass(table.annotation, Section)
        for name, field in table.annotation.model_fields.items():
            fields[f"{section}.{field.alias or name}"] = field
    return fields
