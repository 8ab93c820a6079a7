"""JSON schemas of the OpenAPI document, generated from the pydantic models of the operations."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from daemon.admin import schemas
from daemon.admin.api.operation import Operation

REFERENCE_TEMPLATE = "#/components/schemas/{model}"

References = dict[Any, Any]  # (model, mode) -> {"$ref": …}
Models = tuple[tuple[type[BaseModel], JsonSchemaMode], ...]


def reference_to(name: str) -> dict[str, str]:
    """A `$ref` to a component schema."""
    return {"$ref": REFERENCE_TEMPLATE.format(model=name)}


def component_schemas(operations: Iterable[Operation]) -> tuple[References, dict[str, Any]]:
    """References to the models of all bodies, by model and mode; and the schemas by name."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(schemas.Problem, "serialization")]
    for operation in operations:
        if operation.body is not None:
            models.append((operation.body, "validation"))
        models += [
            (model, "serialization")
            for _, model in operation.responses.values()
            if model is not None
        ]
    return _generate(tuple(dict.fromkeys(models)))


@cache  # the slowest step of a start
def _generate(models: Models) -> tuple[References, dict[str, Any]]:
    references, definitions = models_json_schema(
        models, by_alias=True, ref_template=REFERENCE_TEMPLATE
    )
    return dict(references), _close_dictionaries(definitions["$defs"])


def _close_dictionaries(schema: Any) -> Any:
    """
    Restrict every dictionary to keys of its pattern.

    pydantic generates patternProperties, which leaves keys that do not match unrestricted.
    """
    if isinstance(schema, list):
        return [_close_dictionaries(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _close_dictionaries(each) for name, each in schema.items()}
    if isinstance(closed.get("patternProperties"), dict):
        [(pattern, value)] = closed.pop("patternProperties").items()
        closed |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    return closed


def query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The OpenAPI parameters of a query model."""
    schema_of_model = model.model_json_schema(by_alias=True)
    required = schema_of_model.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": schema.pop("description", ""),
            "schema": _without_null(schema),
        }
        for name, schema in schema_of_model["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An absent query parameter is left out; it is never null."""
    options = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    schema.pop("title", None)
    if schema.get("default", ...) is None:
        del schema["default"]
    if len(options) == 1:
        schema.update(options[0])
    elif options:
        schema["anyOf"] = options
    return schema
