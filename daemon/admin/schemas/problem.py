"""Problem documents of RFC 9457, with the extra members `error` and `errors`."""

from pydantic import ConfigDict

from daemon.admin.schemas.base import ResponseModel


class FieldError(ResponseModel):
    """An invalid member of the body or an invalid query parameter."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    pointer: str | None = None
    """A JSON pointer into the body (RFC 6901), such as `#/name`."""
    parameter: str | None = None
    """The name of a query parameter."""
    detail: str


class Problem(ResponseModel):
    """An RFC 9457 problem document; `error` is one sentence that a person understands."""

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=False)

    type: str
    title: str
    status: int
    detail: str
    error: str
    errors: list[FieldError] | None = None
