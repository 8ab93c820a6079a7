"""The API's OpenAPI 3.1 document, generated from the declarations of the operations."""

from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel

from daemon.admin.api import openapi_webhooks
from daemon.admin.api.openapi_schemas import (
    References,
    component_schemas,
    query_parameters,
    reference_to,
)
from daemon.admin.api.operation import Operation

TAGS = {
    "Webhooks": "Endpoints that receive events, and their settings.",
    "Deliveries": "Delivery attempts: the requests sent and the responses received.",
    "Replays": "Stored events that are sent again.",
    "Events": "Stored events and the event types.",
    "System": "How the installation is doing, for operators.",
    "Tenants": "How the tenants' webhooks are doing, for operators.",
    "Holds": "What is not sent for now, because an operator holds it.",
    "Tokens": "Access tokens for tenants.",
    "Portal links": "Links into the console for tenants' people.",
    "Audit": "Who changed what, or was refused it.",
}
# The problems that every operation can have, and those of every operation with a body.
COMMON_PROBLEMS = (400, 401, 403, 404, 408, 421, 422, 429, 500, 503)
BODY_PROBLEMS = (413, 415)
IDEMPOTENCY_PROBLEMS = (409,)
PROBLEM_CONTENT = {"application/problem+json": {"schema": reference_to("Problem")}}
IDEMPOTENCY_KEY_PATTERN = r"^[!-~]([ -~]*[!-~])?$"
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "Makes the request safe to repeat: for 24 hours the same key, caller and body get the same"
        " answer, and act once. Another body is a 422; while the first request runs, a 409."
    ),
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": IDEMPOTENCY_KEY_PATTERN,
        "examples": ["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    },
}
SECURITY_SCHEMES = {
    "tenantToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token that gives access to one tenant.",
    },
    "operatorToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "One of admin.tokens; send the tenant's id in X-Tenant-ID.",
    },
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The complete OpenAPI document, ready to be serialized as JSON."""
    references, schemas = component_schemas(operations)
    paths: dict[str, Any] = {}
    for operation in operations:
        path = paths.setdefault(operation.path, {})
        path[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PenguinMails Webhooks",
            "version": api_version(),
            "description": "Manage webhooks, inspect deliveries, retry and replay them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"tenantToken": []}, {"operatorToken": []}],
        "paths": paths,
        "webhooks": openapi_webhooks.webhooks(),
        "components": {
            "schemas": schemas,
            "parameters": openapi_webhooks.header_parameters(),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _operation(operation: Operation, references: References) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation, references),
    }
    if operation.operator_only:
        described["security"] = [{"operatorToken": []}]
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        schema = references[operation.body, "validation"]
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": {"schema": schema}},
        }
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters = [_id_parameter(operation)] if operation.has_id else []
    if operation.query is not None:
        parameters += query_parameters(operation.query)
    if operation.method == "POST":
        parameters.append(IDEMPOTENCY_KEY)
    return parameters


def _id_parameter(operation: Operation) -> dict[str, Any]:
    # An event's id is a UUID or `evt_…`.
    uuid_only = {} if operation.id_of == "event" else {"format": "uuid"}
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": f"The id of the {operation.id_of}.",
        "schema": {"type": "string", **uuid_only},
    }


def _responses(operation: Operation, references: References) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, (description, model) in operation.responses.items():
        response = responses[str(status)] = {"description": description}
        if model is not None:
            response |= _content(operation, model, references)
    problems = {*COMMON_PROBLEMS, *operation.problems}
    if operation.body is not None:
        problems.update(BODY_PROBLEMS)
    if operation.method == "POST":
        problems.update(IDEMPOTENCY_PROBLEMS)
    for status in sorted(problems):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": PROBLEM_CONTENT,
        }
    return responses


def _content(
    operation: Operation, model: type[BaseModel], references: References
) -> dict[str, Any]:
    schema = references[model, "serialization"]
    content: dict[str, Any] = {"content": {"application/json": {"schema": schema}}}
    if operation.links:
        content["links"] = _links(operation, model)
    return content


def _links(operation: Operation, model: type[BaseModel]) -> dict[str, Any]:
    members = {field.serialization_alias or name for name, field in model.model_fields.items()}
    return {
        name: {
            "operationId": link.operation_id,
            "parameters": {"id": f"$response.body#/{link.member}"},
        }
        for name, link in operation.links.items()
        if link.member in members
    }


def api_version() -> str:
    """The version of the package, for both documents."""
    try:
        return version("penguinmails-webhooks")
    except PackageNotFoundError:
        return "unknown"
