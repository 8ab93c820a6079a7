"""The two bases of schemas: what is taken, and what is given."""

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

MOST_UNKNOWN = 20  # of members; for each a mistake is told


class Taken(BaseModel):
    """What a request's body may hold: these members and no other."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _few_unknown(cls, given: object) -> object:
        """Without most of the members that are not known, when there are very many."""
        if not isinstance(given, dict):
            return given
        known = {field.alias or name for name, field in cls.model_fields.items()}
        left_out = set([name for name in given if name not in known][MOST_UNKNOWN:])
        return {name: each for name, each in given.items() if name not in left_out}


class Given(BaseModel):
    """What an answer holds."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        # A member that is always there is required, null or not.
        json_schema_serialization_defaults_required=True,
    )
