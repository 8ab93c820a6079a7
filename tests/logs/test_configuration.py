"""Configuring the log: level, stream, format, and the standard library."""

import io
import json
import os
import pty
from datetime import UTC, datetime

import pytest
import structlog

from daemon import logs
from daemon.logs.console import console_renderer
from tests.logs.rendering import logger_to


def test_a_line_is_one_json_object_with_time_level_and_event() -> None:
    stream = io.StringIO()
    before = datetime.now(UTC)

    logger_to(stream).warning("delivery.attempted", attempt=1, took_ms=3.5, error=None)

    (line,) = stream.getvalue().splitlines()
    fields = json.loads(line)
    assert fields.pop("timestamp").endswith("Z")
    assert before <= datetime.fromisoformat(json.loads(line)["timestamp"]) <= datetime.now(UTC)
    assert fields == {
        "level": "warning",
        "event": "delivery.attempted",
        "attempt": 1,
        "took_ms": 3.5,
        "error": None,
    }


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.configure("json", "warning", stream)
    log = structlog.get_logger()

    log.info("not.written")
    log.warning("is.written")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["is.written"]


def test_a_logger_in_use_follows_a_new_stream() -> None:
    first, second = io.StringIO(), io.StringIO()
    log = logger_to(first)
    log.info("to.the_first")
    logs.configure("json", "info", second)

    log.info("to.the_second")

    assert "to.the_second" not in first.getvalue()
    assert "to.the_second" in second.getvalue()


def test_a_logger_in_use_follows_a_new_level() -> None:
    stream = io.StringIO()
    log = logger_to(stream)
    log.info("at.first")
    logs.configure("json", "error", stream)
    log.warning("not.written")
    logs.configure("json", "debug", stream)

    log.debug("is.written")

    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == ["at.first", "is.written"]


@pytest.mark.parametrize(
    ("form", "on_terminal", "starts"),
    [("auto", True, "\x1b["), ("auto", False, "{"), ("json", True, "{"), ("console", False, "20")],
)
def test_auto_means_console_on_a_terminal_and_json_elsewhere(
    form: str, on_terminal: bool, starts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty() if on_terminal else os.pipe()[::-1]
    ours, theirs = (ours, theirs) if on_terminal else (theirs, ours)

    with open(theirs, "w") as stream:
        logger_to(stream, form).info("test.rendered", value=1)
        written = os.read(ours, 4096).decode()

    os.close(ours)
    assert written.startswith(starts)
    assert "test.rendered" in written


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    line = console_renderer(colors=True)(None, "info", {"event": "test.rendered", "value": 1})

    assert b"\x1b" not in line
