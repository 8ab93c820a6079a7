"""Pages for people, made from templates and nothing else: no script, nothing from the network."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined

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
    return _TEMPLATES.get_template("reference.html").render(
        info=described["info"],
        sections=sections,
        schemas=described["components"]["schemas"],
        style=_STYLE,
        as_json=_as_json,
        shape=_shape,
    )


def _operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def _shape(schema: dict[str, Any]) -> str:
    """A schema in a word or two: `string (uuid)`, `Webhook`, `list of string`."""
    match schema:
        case {"$ref": reference}:
            return str(reference).rpartition("/")[2]
        case {"const": value}:
            return _as_json(value)
        case {"enum": values}:
            return " | ".join(map(_as_json, values))
        case {"anyOf": options}:
            return " or ".join(dict.fromkeys(map(_shape, options)))
        case {"type": "array", "items": items}:
            return f"list of {_shape(items)}"
        case {"type": kind, "format": detail}:
            return f"{kind} ({detail})"
        case {"type": kind}:
            return str(kind)
        case _:
            return "anything"


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()
