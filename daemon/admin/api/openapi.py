"""The API's description, OpenAPI 3.1, made from the operations and the models that serve it."""

from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from daemon.admin import schemas
from daemon.admin.api.operation import Operation
from daemon.runtime.version import program_version

REFERENCE = "#/components/schemas/{model}"
TAGS = {
    "Webhooks": "Where events go, and on which terms.",
    "Deliveries": "What was sent, and what came back.",
    "Replays": "What is to be sent again.",
    "Events": "What has happened.",
    "Tokens": "Who may ask.",
}
# Whatever is asked, these may be the answer.
ALWAYS = (400, 401, 403, 404, 408, 421, 422, 500, 503)
PROBLEM = {"application/problem+json": {"schema": {"$ref": REFERENCE.format(model="ProblemTold")}}}
SECURITY = {
    "tenantToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token that carries its tenant.",
    },
    "operatorToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "One of admin.tokens; name the tenant's id in X-Tenant-ID beside it.",
    },
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole of it, ready to be printed as JSON."""
    names, definitions = _schemas(operations)
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, names
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PenguinMails Webhooks",
            "version": program_version(),
            "description": "Manage webhooks, and look at what was delivered to them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name, "description": told} for name, told in TAGS.items()],
        "security": [{"tenantToken": []}, {"operatorToken": []}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": SECURITY,
        },
    }


Names = dict[Any, Any]  # of (model, mode) to a reference
Models = tuple[tuple[type[BaseModel], JsonSchemaMode], ...]


def _schemas(operations: Sequence[Operation]) -> tuple[Names, dict[str, Any]]:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(schemas.ProblemTold, "serialization")]
    for operation in operations:
        if operation.body is not None:
            models.append((operation.body, "validation"))
        models += [
            (model, "serialization") for _, model in operation.replies.values() if model is not None
        ]
    return _schemas_of(tuple(dict.fromkeys(models)))


@cache  # it takes longer than all else that a start does
def _schemas_of(models: Models) -> tuple[Names, dict[str, Any]]:
    names, definitions = models_json_schema(models, by_alias=True, ref_template=REFERENCE)
    return dict(names), _closed(definitions["$defs"])


def _closed(schema: Any) -> Any:
    """
    The same, with every dictionary open to names of its pattern and to no others.

    pydantic says what a name of the pattern leads to, and leaves all other names to anybody.
    """
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    if isinstance(closed.get("patternProperties"), dict):
        [(pattern, value)] = closed.pop("patternProperties").items()
        closed |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    return closed


def _operation(operation: Operation, names: Names) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation, names),
    }
    if operation.operator_only:
        described["security"] = [{"operatorToken": []}]
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": {"schema": names[operation.body, "validation"]}},
        }
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if operation.takes_id:
        # An event's id has two spellings.
        shape = {} if operation.id_name == "event" else {"format": "uuid"}
        found.append(
            {
                "name": "id",
                "in": "path",
                "required": True,
                "description": f"The {operation.id_name}'s id.",
                "schema": {"type": "string", **shape},
            }
        )
    if operation.query is not None:
        found += _query_parameters(operation.query)
    return found


def _query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    described = model.model_json_schema(by_alias=True)
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description", ""),
            "schema": _without_null(schema),
        }
        for name, schema in described["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query's parameter is left out; it is never null."""
    options = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    schema.pop("title", None)
    if schema.get("default", ...) is None:
        del schema["default"]
    if len(options) == 1:
        schema.update(options[0])
    elif options:
        schema["anyOf"] = options
    return schema


def _responses(operation: Operation, names: Names) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, (told, model) in operation.replies.items():
        found[str(status)] = {"description": told}
        if model is not None:
            schema = names[model, "serialization"]
            found[str(status)]["content"] = {"application/json": {"schema": schema}}
            if operation.links:
                found[str(status)]["links"] = _links(operation, model)
    for status in sorted({*ALWAYS, *operation.problems}):
        found[str(status)] = {"description": HTTPStatus(status).phrase, "content": PROBLEM}
    return found


def _links(operation: Operation, model: type[BaseModel]) -> dict[str, Any]:
    members = {field.serialization_alias or name for name, field in model.model_fields.items()}
    return {
        name: {
            "operationId": link.operation,
            "parameters": {"id": f"$response.body#/{link.member}"},
        }
        for name, link in operation.links.items()
        if link.member in members
    }
