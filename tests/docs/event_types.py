"""
Writes docs/event-types.md from the catalogue of event types and their schemas.

`python -m tests.docs.event_types` writes it; a test checks that it is current.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from daemon.core.event_schemas import data_schema, sample_body
from daemon.core.event_types import EVENT_TYPES, EventType
from daemon.core.operational_event_types import OPERATIONAL_TYPES
from tests.docs.sentences import ROOT

DOCUMENT = ROOT / "docs/event-types.md"
INTRODUCTION = """\
<!-- Written by python -m tests.docs.event_types -->
# Event types

Each delivery has one event. Its body is an object with the members `id`, `type`, `created_at` and
`data`, and the type says what `data` holds. Members that are marked are always there; the others
may be absent. Accept members that are not listed here, and types too: both can be
[added](receivers.md#versions-of-payloads). `data` is what the application stored, and is not
checked against this list.

The same for programs, of a running daemon and without a token: OpenAPI 3.1 `webhooks` in
`/openapi.json`, AsyncAPI 3.0 in `/asyncapi.json`. With a token, `GET /api/event-types` has a
sample and a JSON Schema of each type's `data`.
"""
OPERATIONAL_INTRODUCTION = """\
Only webhooks of the scopes `account` and `operator` get these ([operational
events](operational-events.md)).
"""


def text() -> str:
    """The page."""
    parts = [
        INTRODUCTION,
        "## The application's events\n",
        *_index(EVENT_TYPES),
        *_sections(EVENT_TYPES, operational=False),
        "## Operational events\n",
        OPERATIONAL_INTRODUCTION,
        *_index(OPERATIONAL_TYPES),
        *_sections(OPERATIONAL_TYPES, operational=True),
    ]
    return "\n".join(parts)


def _index(types: tuple[EventType, ...]) -> Iterator[str]:
    yield "| type | sent when |\n|---|---|"
    for each in types:
        # GitHub leaves dots out of anchors.
        yield f"| [`{each.name}`](#{each.name.replace('.', '')}) | {each.description} |"
    yield ""


def _sections(types: tuple[EventType, ...], *, operational: bool) -> Iterator[str]:
    for each in types:
        schema = data_schema(each, operational=operational)
        sample = json.dumps(sample_body(each), indent=2, ensure_ascii=False)
        yield f"### {each.name}\n\n{each.description}.\n"
        yield "| member of `data` | type | always | what it is |\n|---|---|---|---|"
        yield from _rows(schema["properties"], set(schema["required"]), "")
        yield f"\n```json\n{sample}\n```\n"


def _rows(
    properties: Mapping[str, Mapping[str, Any]], required: set[str], above: str
) -> Iterator[str]:
    for name, member in properties.items():
        always = "✓" if name in required else ""
        path = f"{above}{name}"
        yield f"| `{path}` | {_type(member)} | {always} | {member['description']} |"
        yield from _rows(member.get("properties", {}), set(), f"{path}.")


def _type(member: Mapping[str, Any]) -> str:
    kinds = [member["type"]] if isinstance(member["type"], str) else member["type"]
    described = " or ".join(kinds).replace("array", "array of strings")
    return f"{described}, {member['format']}" if "format" in member else described


if __name__ == "__main__":
    DOCUMENT.write_text(text())
