"""Pages for people, made from templates and nothing else: no script, nothing from the network."""

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

_TEMPLATES = Environment(
    loader=PackageLoader("daemon.admin"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STYLE = _TEMPLATES.get_template("reference.css").render()

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)


def reference(described: dict[str, Any]) -> str:
    """The OpenAPI description as one page."""
    sections = [
        (tag, [each for each in _operations(described) if each["tags"] == [tag["name"]]])
        for tag in described["tags"]
    ]
    schemas = described["components"]["schemas"]
    return _TEMPLATES.get_template("reference.html").render(
        info=described["info"],
        sections=sections,
        schemas=schemas,
        taken=_taken(described["paths"], schemas),
        style=_STYLE,
        shape=_shape,
        name_of=_name,
        terms=_terms,
    )


def _operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def _taken(paths: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """The names of the shapes that requests are made of; all others are answers'."""
    bodies = [
        operation.get("requestBody") for methods in paths.values() for operation in methods.values()
    ]
    found: set[str] = set()
    ahead = list(_references(bodies))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += _references(schemas[name])
    return found


def _references(schema: object) -> Iterator[str]:
    """The names of the shapes that a part of the description refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield _name(schema)
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _shape(schema: dict[str, Any]) -> Markup:
    """A schema in a word or two, with links: `string (uuid)`, `Webhook`, `list of string`."""
    match schema:
        case {"$ref": _}:
            return Markup('<a href="#{0}">{0}</a>').format(_name(schema))
        case {"const": value}:
            return escape(_as_json(value))
        case {"enum": values}:
            return escape(" | ".join(map(_as_json, values)))
        case {"anyOf": options}:
            return Markup(" or ").join(dict.fromkeys(map(_shape, options)))
        case {"type": "array", "items": items}:
            return Markup("list of {}").format(_grouped(_shape(items)))
        case {"type": "object", "additionalProperties": dict(value)}:
            return Markup("object of {}").format(_grouped(_shape(value)))
        case {"type": kind, "format": detail}:
            return escape(f"{kind} ({detail})")
        case {"type": kind}:
            return escape(kind)
        case _:
            return Markup("anything")


def _grouped(told: Markup) -> Markup:
    """In parentheses where it could be read together with what follows it."""
    return Markup("({})").format(told) if " or " in told else told


# What a schema bounds, and what it is bounded in.
BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " members"),
)


def _terms(schema: dict[str, Any]) -> str:
    """Bounds and default: `from 1 to 200; 50 unless given`."""
    told = list(dict.fromkeys(_bounds(schema)))
    if schema.get("default") is not None:
        told.append(f"{_as_json(schema['default'])} unless given")
    return "; ".join(told)


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    for least, most, unit in BOUNDS:
        match schema.get(least), schema.get(most):
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


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()
