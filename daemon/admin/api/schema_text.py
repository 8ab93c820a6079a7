"""JSON schemas in words for the reference page: types with links, bounds, defaults."""

from collections.abc import Iterator
from typing import Any

import orjson
from markupsafe import Markup, escape

# The two keywords of a range, and its unit.
BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " members"),
)


def schema_name(reference: dict[str, Any]) -> str:
    """The name of the schema that a `$ref` refers to."""
    return str(reference["$ref"]).rpartition("/")[2]


def type_of(schema: dict[str, Any]) -> Markup:
    """The type of a schema, with links: `string (uuid)`, `Webhook`, `list of string`."""
    match schema:
        case {"$ref": _}:
            return Markup('<a href="#{0}">{0}</a>').format(schema_name(schema))
        case {"const": value}:
            return escape(_as_json(value))
        case {"enum": values}:
            return escape(" | ".join(map(_as_json, values)))
        case {"anyOf": options}:
            return Markup(" or ").join(dict.fromkeys(map(type_of, options)))
        case {"type": "array", "items": items}:
            return Markup("list of {}").format(_in_parentheses(type_of(items)))
        case {"type": "object", "additionalProperties": dict(value)}:
            return Markup("object of {}").format(_in_parentheses(type_of(value)))
        case {"type": kind, "format": detail}:
            return escape(f"{kind} ({detail})")
        case {"type": kind}:
            return escape(kind)
        case _:
            return Markup("anything")


def constraints(schema: dict[str, Any]) -> str:
    """The bounds and the default of a schema: `from 1 to 200; default 50`."""
    found = list(dict.fromkeys(_bounds(schema)))
    if schema.get("default") is not None:
        found.append(f"default {_as_json(schema['default'])}")
    return "; ".join(found)


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    for minimum, maximum, unit in BOUNDS:
        match schema.get(minimum), schema.get(maximum):
            case None, None:
                pass
            case low, None:
                yield f"at least {low}{unit.removesuffix('s') if low == 1 else unit}"
            case None, high:
                yield f"at most {high}{unit}"
            case low, high:
                yield f"from {low} to {high}{unit}"
    for option in schema.get("anyOf", ()):
        yield from _bounds(option)


def _in_parentheses(text: Markup) -> Markup:
    """Add parentheses to a type with alternatives: `list of (string or null)`."""
    return Markup("({})").format(text) if " or " in text else text


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()
