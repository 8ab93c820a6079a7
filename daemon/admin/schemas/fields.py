"""Field types that several schemas share: text, URLs, event types, mail addresses, headers."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticKnownError

from daemon.core.matching.limits import MOST_TYPES
from daemon.core.matching.type_names import LONGEST_NAME as LONGEST_TYPE_NAME
from daemon.core.matching.type_names import WELL_FORMED, reason_against
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.headers import LONGEST_VALUE, MOST_HEADERS
from daemon.core.policy.urls import LONGEST_URL
from daemon.core.unprintable import UNPRINTABLE

# Documented for clients only. International names and more are accepted: the egress rules decide,
# on the length too.
COMMON_URL = (
    r"^https://([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,10}(:8?443)?(/[A-Za-z0-9._~/-]*)?$"
)
LINES = re.compile(r"[\t\n\r]")
# Of characters in use: what is blank, joins or modifies others, and marks that combine with others.
INVISIBLES = (
    r"\u00ad\u0300-\u036f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u206f\u2800"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
VISIBLE = re.compile(rf"[^\s{INVISIBLES}]")
# Of mail addresses (RFC 5321, section 4.1.2).
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


def matching(pattern: str, sentence: str) -> tuple[AfterValidator, Any]:
    """A string that matches `pattern` (valid in ECMA 262 and Python); else `sentence` is shown."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(sentence)
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern})


def max_entries(limit: int) -> BeforeValidator:
    """
    Limit the entries of a list or an object before any of them is validated.

    The limit stays out of the JSON schema, because schema-based tests would generate data up to
    every such limit; descriptions mention it in words.
    """

    def check(given: object) -> object:
        if isinstance(given, dict | list) and len(given) > limit:
            kind = "Dictionary" if isinstance(given, dict) else "List"
            sizes = {"max_length": limit, "actual_length": len(given)}
            raise PydanticKnownError("too_long", {"field_type": kind, **sizes})
        return given

    return BeforeValidator(check)


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("contains a NUL character, which cannot be stored")
    return text


def _printable(text: str) -> str:
    if found := UNPRINTABLE.search(text):
        raise ValueError(
            f"contains U+{ord(found[0]):04X}, a control character or one that changes the"
            " direction of text"
        )
    return text


def _not_blank(text: str) -> str:
    if not VISIBLE.search(text):
        raise ValueError("must not be blank")
    return text


def _printable_lines(text: str) -> str:
    _printable(LINES.sub("", text))
    return text


def _type_name(text: str) -> str:
    reason = reason_against(text)
    if reason is not None:
        raise ValueError(reason)
    return text


def _valid_address(text: str) -> str:
    parse_address(text)
    return text


# PostgreSQL stores every character but NUL.
Text = Annotated[
    str, AfterValidator(_storable), Field(json_schema_extra={"pattern": r"^[^\x00]*$"})
]
# For people to read; surrogates are no text in JSON either.
DIRECTIONS = r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
UNPRINTABLES = rf"\x00-\x1f\x7f-\x9f{DIRECTIONS}"
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        json_schema_extra={
            "pattern": rf"^[^{UNPRINTABLES}]*[^\s{UNPRINTABLES}{INVISIBLES}][^{UNPRINTABLES}]*$"
        },
    ),
    AfterValidator(_printable),
    AfterValidator(_not_blank),
]
Description = Annotated[
    str,
    Field(
        max_length=10_000,
        json_schema_extra={"pattern": rf"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{DIRECTIONS}]*$"},
    ),
    AfterValidator(_printable_lines),
]
EndpointUrl = Annotated[
    str,
    Field(
        min_length=1,
        json_schema_extra={
            "pattern": COMMON_URL,
            "maxLength": LONGEST_URL,
            "examples": ["https://example.com/webhooks/penguinmails"],
        },
    ),
]
EventTypePattern = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_TYPE_NAME,
        description="An event type or a wildcard: `email.*`, `*`.",
        json_schema_extra={"pattern": WELL_FORMED},
    ),
    AfterValidator(_type_name),
]
EventTypePatterns = Annotated[list[EventTypePattern], Field(max_length=MOST_TYPES)]
MailAddress = Annotated[
    str,
    Field(
        json_schema_extra={
            # International domains are accepted too; an address that is too long is not: one
            # length would not say that its parts have limits of their own.
            "pattern": rf"^{ATOM}(\.{ATOM})*@{LABEL}(\.{LABEL})*$",
            "examples": ["ops@example.com"],
        },
    ),
    AfterValidator(_valid_address),
]
# Documented for clients only: `core.policy.headers` validates names and values together.
HeaderName = Annotated[
    str, Field(json_schema_extra={"pattern": r"^[!#$%&'*+.^`|~0-9A-Za-z-]{1,128}$"})
]
HeaderValue = Annotated[
    str,
    Field(
        json_schema_extra={
            "pattern": r"^([!-~]([\t -~]*[!-~])?)?$",
            "maxLength": LONGEST_VALUE,
        }
    ),
]
Headers = Annotated[
    dict[HeaderName, HeaderValue], max_entries(MOST_HEADERS), Field(max_length=MOST_HEADERS)
]
HeaderChanges = Annotated[
    dict[HeaderName, HeaderValue | None], max_entries(MOST_HEADERS), Field(max_length=MOST_HEADERS)
]
