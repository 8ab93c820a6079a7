"""What is told when something is wrong."""

from pydantic import (
    ConfigDict,
)

from daemon.admin.schemas.base import Given


class MistakeTold(Given):
    """A member of the body at fault, or a parameter."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    pointer: str | None = None
    """A JSON pointer into the body (RFC 6901), such as `#/name`."""
    parameter: str | None = None
    """The name of a parameter of the query."""
    detail: str


class ProblemTold(Given):
    """RFC 9457; `error` is one sentence for a person."""

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=False)

    type: str
    title: str
    status: int
    detail: str
    error: str
    errors: list[MistakeTold] | None = None
