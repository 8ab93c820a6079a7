"""The two base classes of the API's schemas: request models reject unknown members."""

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from daemon.core.wire.timestamps import rfc3339
from daemon.runtime.attribute_docstrings import attribute_docstrings

MAX_UNKNOWN_MEMBERS = 20  # each one costs an error in the answer


class _Documented(BaseModel):
    """The base of both: the text below a member describes it in the JSON schema."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        descriptions = attribute_docstrings(cls)
        for name, field in cls.model_fields.items():
            if name in descriptions and field.description is None:
                properties[field.alias or name]["description"] = descriptions[name]
        return schema


class RequestModel(_Documented):
    """The body or the query of a request: the members that are declared, and no others."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_most_unknown_members(cls, given: object) -> object:
        """Keep the first unknown members only: thousands of errors help no client."""
        if not isinstance(given, dict):
            return given
        known = {field.alias or name for name, field in cls.model_fields.items()}
        dropped = set([name for name in given if name not in known][MAX_UNKNOWN_MEMBERS:])
        return {name: value for name, value in given.items() if name not in dropped}


class ResponseModel(_Documented):
    """
    The body of a response.

    One with `holds_credential` is shown once, and stored only if it can be sealed.
    """

    holds_credential: ClassVar[bool] = False

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        # A member that is always present is documented as required, whether it may be null or not.
        json_schema_serialization_defaults_required=True,
    )

    def as_json(self) -> bytes:
        """The JSON text; times are printed as in the bodies that receivers get."""
        return _printed(self.model_dump(by_alias=True))

    def json_pieces(self) -> Iterator[bytes]:
        """`as_json` in pieces, of which each takes a moment: items of lists by themselves."""
        opening = b"{"
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, list) and all(isinstance(each, ResponseModel) for each in value):
                yield opening + _printed(field.serialization_alias or name) + b":["
                for at, each in enumerate(value):
                    yield (b"," if at else b"") + each.as_json()
                yield b"]"
            else:
                member = self.model_dump(by_alias=True, include={name})
                yield opening + _printed(member)[1:-1]
            opening = b","
        yield b"}" if opening == b"," else b"{}"


def _printed(value: object) -> bytes:
    return orjson.dumps(value, _as_text, orjson.OPT_PASSTHROUGH_DATETIME)


def _as_text(value: object) -> str:
    """asyncpg's own UUID class is unknown to orjson. Raises TypeError for any other type."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError
