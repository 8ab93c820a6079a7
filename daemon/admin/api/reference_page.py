"""The API reference as an HTML page: no script, and no resource from the network."""

import json
from collections.abc import Iterator
from typing import Any

from daemon.admin.api.page_templates import TEMPLATES, style_source
from daemon.admin.api.schema_text import constraints, schema_name, type_of

_STYLE = TEMPLATES.get_template("reference.css").render()

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    f"{style_source(_STYLE)}"
)


def render(document: dict[str, Any]) -> str:
    """Render an OpenAPI document as one HTML page."""
    operations = _operations(document)
    sections = [
        (tag, [each for each in operations if each["tags"] == [tag["name"]]])
        for tag in document["tags"]
    ]
    schemas = document["components"]["schemas"]
    return TEMPLATES.get_template("reference.html").render(
        info=document["info"],
        sections=sections,
        schemas=schemas,
        request_schemas=_request_schemas(operations, schemas),
        events=_events(document),
        delivery_headers=document["components"]["parameters"],
        style=_STYLE,
        type_of=type_of,
        schema_name=schema_name,
        constraints=constraints,
    )


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _events(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, description and a sample body of each type of event that receivers get."""
    return [
        (name, request["summary"], _sample(request))
        for name, methods in document["webhooks"].items()
        for request in methods.values()
    ]


def _sample(request: dict[str, Any]) -> str:
    body = request["requestBody"]["content"]["application/json"]["example"]
    return json.dumps(body, indent=2, ensure_ascii=False)


def _request_schemas(operations: list[dict[str, Any]], schemas: dict[str, Any]) -> set[str]:
    """The names of all schemas that request bodies use, directly or nested."""
    found: set[str] = set()
    pending = list(_references([each.get("requestBody") for each in operations]))
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += _references(schemas[name])
    return found


def _references(schema: object) -> Iterator[str]:
    """The names of the schemas that a part of the document refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema_name(schema)
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)
