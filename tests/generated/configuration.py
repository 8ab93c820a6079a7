"""
docs/configuration.md, from the configuration's model.

The rule: what the page says of a setting is what the daemon reads; nothing is written twice.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, SecretStr
from pydantic.fields import FieldInfo

from daemon.config.config import NEEDS_RESTART, Config, fields_by_key
from daemon.config.durations import format_duration
from daemon.config.environment import KEYS_BY_VARIABLE
from daemon.config.operator_tokens import OperatorToken
from daemon.config.sections import Section
from daemon.config.validators import Bounds
from daemon.runtime.attribute_docstrings import attribute_docstrings

INTRODUCTION = """\
# Configuration

<!-- Generated from the configuration's model by `python3 dev.py generate`. -->

The file is TOML: `--config FILE`, or else `$WEBHOOKD_CONFIG`, or else `./config.toml`, or else
`/etc/penguinmails-webhooks/config.toml`. [`config.example.toml`](../config.example.toml) has
every setting with its default and advice on its use.

Every setting can be overridden: by its environment variable below; next by a systemd credential,
a file in `$CREDENTIALS_DIRECTORY` with the setting's name and `__` in place of the dot
(`database__url`); `database.url` last by `DATABASE_URL`. In variables and credentials, lists are
JSON or separated by commas. Durations have units: `250ms`, `5s`, `1h30m`, `90d`.

`webhookd check --only-configuration` reports every mistake with its file and line, and connects
to nothing. A setting with "reload" is taken over by `systemctl reload`, or SIGHUP, without a
restart: see [operations](operations.md#changing-settings). The others wait for the next start.
"""
NAMES = {
    bool: "true or false",
    int: "integer",
    str: "text",
    SecretStr: "text, secret",
    timedelta: "duration",
    IPv4Network: "network (CIDR)",
    IPv6Network: "network (CIDR)",
    OperatorToken: "token, or table of name, token and scope",
    type(None): "",
}
PORTS = "port or range of ports"


def configuration_page() -> str:
    """The whole page, as Markdown."""
    variables = {key: name for name, key in KEYS_BY_VARIABLE.items()}
    texts = descriptions_by_key()
    sections = []
    for section, table in Config.model_fields.items():
        assert isinstance(table.annotation, type)
        rows = [
            _row(key, variables[key], field, texts[key])
            for key, field in fields_by_key().items()
            if key.startswith(f"{section}.")
        ]
        heading = [f"## `[{section}]`", "", str(table.annotation.__doc__).strip(), ""]
        columns = ["| setting | variable | type | default | change | meaning |", "|---" * 6 + "|"]
        sections.append("\n".join([*heading, *columns, *rows]) + "\n")
    return "\n".join([INTRODUCTION, *sections])


def descriptions_by_key() -> Mapping[str, str]:
    """Map every key, like `"database.url"`, to the text below that setting, if there is one."""
    texts = {}
    for section, table in Config.model_fields.items():
        assert isinstance(table.annotation, type)
        assert issubclass(table.annotation, Section)
        fields = table.annotation.model_fields
        for name, text in attribute_docstrings(table.annotation).items():
            texts[f"{section}.{fields[name].alias or name}"] = text
    return texts


def _row(key: str, variable: str, field: FieldInfo, text: str) -> str:
    change = "restart" if key in NEEDS_RESTART else "reload"
    cells = [
        f"`{key}`",
        f"`{variable}`",
        _type(field.annotation, field.metadata),
        _default(field.get_default(call_default_factory=True)),
        change,
        " ".join(text.split()),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: Any, metadata: list[Any]) -> str:
    """A type as operators write values of it, with its bounds."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _type(arguments[0], [*arguments[1:], *metadata])
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin in {Union, UnionType}:
        kinds = dict.fromkeys(_type(each, metadata) for each in arguments)
        return ", or ".join(kind for kind in kinds if kind)
    if annotation == tuple[int, int]:
        return PORTS
    limit = "".join(f", at most {each.max_length}" for each in metadata if isinstance(each, MaxLen))
    if origin is tuple:
        return f"list of: {_type(arguments[0], [])}{limit}"
    if origin is dict:
        return f"table of names and: {_type(arguments[1], [])}{limit}"
    return NAMES[annotation] + "".join(_bounds(metadata))


def _bounds(metadata: list[Any]) -> Iterator[str]:
    least = next((each.ge for each in metadata if isinstance(each, Ge)), None)
    most = next((each.le for each in metadata if isinstance(each, Le)), None)
    if least is not None:
        yield f", {least} to {most}"
    for each in metadata:
        if isinstance(each, AfterValidator) and isinstance(each.func, Bounds):
            yield f", {each.func.least} to {each.func.most}"


def _default(value: Any) -> str:
    return "none" if value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case timedelta():
            return f'"{format_duration(value)}"'
        case (int(low), int(high)):
            return f'"{low}"' if low == high else f'"{low}-{high}"'
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case str() if not isinstance(value, Enum):
            return f'"{value}"'
        case {}:
            return "{}"
    return str(value)
