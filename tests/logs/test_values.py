"""Values as JSON, and those that cannot be rendered."""

import io
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.attempts import FailureKind
from daemon.logs.console import console_renderer
from daemon.logs.json_lines import render_json
from tests.logs.rendering import CANARY, Render, logger_to


class UuidSubclass(UUID):
    """Like asyncpg's."""


@dataclass
class ObjectWithSecret:
    secret: str


def test_values_are_converted_to_json_values(render: Render) -> None:
    ours, theirs = uuid4(), UuidSubclass(int=5)

    fields = render(
        ours=ours,
        theirs=theirs,
        wait=timedelta(seconds=90),
        address=ip_address("10.0.0.1"),
        path=Path("a/b"),
        fault=FailureKind.TIMEOUT,
        error=ValueError("no"),
        several=(1, {"deep": {theirs}}),
    )

    del fields["timestamp"]
    assert fields == {
        "level": "info",
        "event": "test.rendered",
        "ours": str(ours),
        "theirs": str(theirs),
        "wait": 90.0,
        "address": "10.0.0.1",
        "path": "a/b",
        "fault": "timeout",
        "error": "ValueError: no",
        "several": [1, {"deep": [str(theirs)]}],
    }


def test_a_type_is_rendered_the_same_way_the_second_time(render: Render) -> None:
    fields = {"id": UuidSubclass(int=7), "fault": FailureKind.TLS}

    first, again = render(**fields), render(**fields)

    assert (first["id"], first["fault"]) == (again["id"], again["fault"])
    assert again["fault"] == "tls"


def test_an_object_of_an_unknown_type_is_written_as_its_type_only(render: Render) -> None:
    claim = ObjectWithSecret(secret=CANARY)

    fields = render(claim=claim, several=[claim], raw=CANARY.encode())

    assert fields["claim"] == "<ObjectWithSecret>"
    assert fields["several"] == ["<ObjectWithSecret>"]
    assert fields["raw"] == "<bytes>"


@given(st.dictionaries(st.sampled_from(["error", "name", "a", "b"]), st.text()), st.text())
def test_any_text_is_preserved_on_one_json_line(fields: dict[str, str], event: str) -> None:
    line = render_json(None, "info", {**fields, "event": event})

    assert len(line.splitlines()) == 1
    read = json.loads(line)
    if "://" not in str([*fields.values(), event]):
        assert {key: read[key] for key in [*fields, "event"]} == {**fields, "event": event}


@given(st.text(), st.text(), st.text())
def test_no_text_can_forge_a_line_or_move_the_cursor_on_the_console(
    event: str, value: str, raised: str
) -> None:
    renderer = console_renderer(colors=False)
    fields = {"event": event, "value": value, "nested": [value], "exc_info": ValueError(raised)}

    line, *traceback = renderer(None, "info", fields).decode().split("\n")

    assert line.isprintable() or not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)
    assert all(each.startswith("    ") for each in traceback)
    assert not set("".join(traceback)) & set("\r\x1b\x00\x85\u2028\u202e")


@pytest.mark.parametrize("value", ["\ud800", 2**70, {"\ud800": "\udfff"}, {2: 2**70}])
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_value_that_orjson_refuses_is_written_anyway(value: object, form: str) -> None:
    stream = io.StringIO()

    logger_to(stream, form).info("odd.value", value=value, secret=CANARY)

    assert "odd.value" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_value_that_contains_itself_is_truncated(render: Render) -> None:
    circle: list[object] = []
    circle.append(circle)

    assert render(circle=circle)["circle"] == [[[[["…"]]]]]


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_value_that_cannot_be_rendered_raises_nothing(form: str) -> None:
    stream = io.StringIO()

    logger_to(stream, form).info("odd.value", error=BrokenError())

    assert json.loads(stream.getvalue())["event"] == "log.rendering_failed"


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_text_changes_the_direction_or_the_terminal_s_state_in_any_form(form: str) -> None:
    stream = io.StringIO()
    name = "a\u202eb\u2066c\u200fd\x9be\x7ff\u2028g\x1bh"

    logger_to(stream, form).info("test.rendered", name=name, nested={"name": [name]})

    line = stream.getvalue().removesuffix("\n")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", line)
    if form == "json":
        assert json.loads(line)["name"] == name  # escaped as JSON: the value is the same
        assert json.loads(line)["nested"] == {"name": [name]}


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("name", ["קבלה", "اتصال", "連絡先", "👩‍💻", "naïve e\u0301"])
def test_text_of_any_script_is_logged_unchanged(form: str, name: str) -> None:
    stream = io.StringIO()

    logger_to(stream, form).info("test.rendered", name=name)

    assert name in stream.getvalue()
