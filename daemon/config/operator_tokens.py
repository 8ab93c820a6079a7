"""
Operators' tokens: each has a name, which logs and the audit record in the token's place.

No error quotes a token, nor a name that could be one.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from daemon.config.validators import printable_secret
from daemon.core.model.access import Scope
from daemon.core.unprintable import UNPRINTABLE


def plain_name(name: str) -> str:
    """Accept text on one line, without spaces around it. Raises ValueError."""
    if UNPRINTABLE.search(name) or name != name.strip():
        raise ValueError("must be plain text, without control characters or spaces around it")
    return name


class OperatorToken(BaseModel):
    """One of `admin.tokens`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(plain_name)]
    """Shown in logs and in the audit; unique."""

    token: Annotated[SecretStr, printable_secret("a token", at_least=16)]
    """The secret, as sent in the Authorization header."""

    scope: Scope = Scope.FULL
    """`full`, or `read` for GET requests only."""

    @model_validator(mode="before")
    @classmethod
    def _is_a_table(cls, given: object) -> object:
        if not isinstance(given, dict | OperatorToken):
            raise ValueError("must be a token in quotes, or a table with name, token and scope")  # noqa: TRY004
        return given

    @model_validator(mode="after")
    def _name_is_not_the_token(self) -> "OperatorToken":
        if self.token.get_secret_value() in self.name:
            raise ValueError("the name contains the token: names are shown in logs")
        return self


def with_names(tokens: object) -> object:
    """Name tokens that are plain strings by their place in the list: `token-1`."""
    if not isinstance(tokens, list | tuple):
        return tokens
    return [
        {"name": f"token-{place}", "token": token} if isinstance(token, str) else token
        for place, token in enumerate(tokens, 1)
    ]


def distinct(tokens: tuple[OperatorToken, ...]) -> tuple[OperatorToken, ...]:
    """Reject a name or a secret that occurs twice. Raises ValueError."""
    names: set[str] = set()
    names_by_secret: dict[str, str] = {}
    for each in tokens:
        if each.name in names:
            raise ValueError(f'two tokens have the name "{each.name}"')
        names.add(each.name)
        first = names_by_secret.setdefault(each.token.get_secret_value(), each.name)
        if first != each.name:
            raise ValueError(f'"{first}" and "{each.name}" are the same token')
    return tokens
