"""What is told when something is wrong."""

from pydantic import (
    ConfigDict,
)

from daemon.admin.schemas.shapes import Given


class MistakeTold(Given):
    """One member at fault."""

    pointer: str
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
