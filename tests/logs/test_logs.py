import asyncio
import io
import json
import logging
import os
import pty
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.typing import FilteringBoundLogger

from daemon import logs
from daemon.core.model.attempts import FailureKind
from daemon.logs.output import Output
from daemon.logs.rendering import console, to_json
from tests.support.application import Application

CANARY = "c4n4ry"
Say = Callable[..., dict[str, object]]


@dataclass
class Claimed:
    secret: str


class TheirUuid(UUID):
    """As asyncpg has one."""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


def logger_to(stream: io.TextIOBase | None, form: str = "json") -> FilteringBoundLogger:
    logs.configure(form, "info", stream)  # type: ignore[arg-type]
    log: FilteringBoundLogger = structlog.get_logger()
    return log


@pytest.fixture
def say() -> Say:
    """Log one event as JSON and read it back."""

    def say(event: str = "test.said", **fields: object) -> dict[str, object]:
        line = to_json(None, "info", {**fields, "event": event})
        assert b"\n" not in line
        read: dict[str, object] = json.loads(line)
        return read

    return say


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


def test_values_become_what_json_has(say: Say) -> None:
    ours, theirs = uuid4(), TheirUuid(int=5)

    fields = say(
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
        "event": "test.said",
        "ours": str(ours),
        "theirs": str(theirs),
        "wait": 90.0,
        "address": "10.0.0.1",
        "path": "a/b",
        "fault": "timeout",
        "error": "ValueError: no",
        "several": [1, {"deep": [str(theirs)]}],
    }


def test_a_type_seen_before_is_written_the_same_way_again(say: Say) -> None:
    fields = {"id": TheirUuid(int=7), "fault": FailureKind.TLS}

    first, again = say(**fields), say(**fields)

    assert (first["id"], first["fault"]) == (again["id"], again["fault"])
    assert again["fault"] == "tls"


@pytest.mark.parametrize(
    "key",
    ["secret", "secret_key", "previous_secret", "Authorization", "token", "admin_tokens",
     "password", "PGPASSWORD", "api_key", "master_keys", "X-PenguinMails-Signature", "set-cookie"],
)  # fmt: skip
def test_what_stands_under_the_key_of_a_secret_is_hidden(key: str, say: Say) -> None:
    shown = json.dumps(say(**{key: CANARY, "headers": {key: [CANARY]}}))

    assert CANARY not in shown
    assert shown.count("[hidden]") == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://h.example/p?q={CANARY}", "https://h.example/p"),
        (f"https://u:{CANARY}@h.example:8443/p#{CANARY}", "https://h.example:8443/p"),
        (f"https://h.example/@me?q={CANARY}@x", "https://h.example/@me"),
        (f"postgresql://u:{CANARY}@[::1]:5432/d?password={CANARY}", "postgresql://[::1]:5432/d"),
        (f"postgres://u:{CANARY}@h1:1,h2:2/d", "postgres://h1:1,h2:2/d"),
        (f"cannot reach smtp://u:{CANARY}@h, giving up", "cannot reach smtp://h, giving up"),
        (f'to "https://a/?{CANARY}" and <https://b/?{CANARY}>', 'to "https://a/" and <https://b/>'),
        (f"https://u:{CANARY}/x@h/", "https://[hidden]"),
        (f"postgresql://u:{CANARY}?x@h/d", "postgresql://[hidden]"),
        (f"{'x' * 40}://u:{CANARY}@h", f"{'x' * 40}://h"),
        (f"://u:{CANARY}@h", "://h"),
        (f"postgresql://h/d?password=x@{CANARY}", "postgresql://[hidden]"),
    ],
)
def test_urls_are_shown_without_user_password_query_and_fragment(
    text: str, shown: str, say: Say
) -> None:
    fields = say(text, error=text, nested=[text], raised=OSError(text))

    assert fields["event"] == fields["error"] == shown
    assert fields["nested"] == [shown]
    assert fields["raised"] == f"OSError: {shown}"


@given(st.text("ab1@:/?#[]%,&=", max_size=8), st.text("ab1@:/?#[]%,&=", max_size=8))
def test_no_password_of_a_database_is_shown_however_badly_it_is_written(
    front: str, back: str
) -> None:
    shown = logs.without_secrets(f"postgresql://user:{front}{CANARY}{back}@h:5432/d")

    assert CANARY not in shown


def test_a_long_hostile_text_is_looked_through_in_no_time() -> None:
    text = "x" * 200_000 + "://h" + ":/" * 100_000 + "@" * 100_000
    began = time.process_time()

    logs.without_secrets(text)

    assert time.process_time() - began < 2  # tens of milliseconds; the square would take minutes


def test_a_path_under_the_key_of_a_url_loses_its_query(say: Say) -> None:
    assert say(url=f"/api/x?token={CANARY}", redirect_uri=None)["url"] == "/api/x"


def test_an_object_of_an_unknown_type_shows_only_its_type(say: Say) -> None:
    claim = Claimed(secret=CANARY)

    fields = say(claim=claim, several=[claim], raw=CANARY.encode())

    assert fields["claim"] == "<Claimed>"
    assert fields["several"] == ["<Claimed>"]
    assert fields["raw"] == "<bytes>"


def login(password: str) -> None:
    raise ConnectionError(f"cannot log in to postgresql://u:{password}@h/d")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_neither_local_variables_nor_passwords(form: str) -> None:
    stream = io.StringIO()
    log = logger_to(stream, form)
    try:
        login(CANARY)
    except ConnectionError as error:
        log.exception("test.failed")
        log.warning("test.failed", exc_info=error)

    told = stream.getvalue()
    assert told.count("Traceback (most recent call last)") == 2
    assert told.count("ConnectionError: cannot log in to postgresql://h/d") == 2
    assert CANARY not in told


def test_a_long_traceback_is_not_cut_inside_a_password(say: Say) -> None:
    behind = f"{CANARY}@h/d "
    padding = "x" * (20_000 - len(behind))

    fields = say(exc_info=ValueError(f"postgresql://u:{behind}{padding}"))

    assert len(str(fields["exception"])) == 20_000
    assert CANARY not in str(fields["exception"])


def test_an_exc_info_without_an_exception_adds_nothing(say: Say) -> None:
    fields = say(exc_info=True)

    assert "exception" not in fields
    assert "exc_info" not in fields


@given(st.dictionaries(st.sampled_from(["error", "name", "a", "b"]), st.text()), st.text())
def test_any_text_survives_on_one_json_line(fields: dict[str, str], event: str) -> None:
    line = to_json(None, "info", {**fields, "event": event})

    assert len(line.splitlines()) == 1
    read = json.loads(line)
    if "://" not in str([*fields.values(), event]):
        assert {key: read[key] for key in [*fields, "event"]} == {**fields, "event": event}


@given(st.text(), st.text(), st.text())
def test_no_text_can_forge_a_line_or_move_the_cursor_on_the_console(
    event: str, value: str, raised: str
) -> None:
    render = console(colors=False)
    fields = {"event": event, "value": value, "nested": [value], "exc_info": ValueError(raised)}

    line, *traceback = render(None, "info", fields).decode().split("\n")

    assert line.isprintable() or not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)
    assert all(each.startswith("    ") for each in traceback)
    assert not set("".join(traceback)) & set("\r\x1b\x00\x85\u2028\u202e")


@pytest.mark.parametrize("value", ["\ud800", 2**70, {"\ud800": "\udfff"}, {2: 2**70}])
@pytest.mark.parametrize("form", ["json", "console"])
def test_what_orjson_refuses_is_written_all_the_same(value: object, form: str) -> None:
    stream = io.StringIO()

    logger_to(stream, form).info("odd.value", value=value, secret=CANARY)

    assert "odd.value" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_value_that_contains_itself_is_cut_short(say: Say) -> None:
    circle: list[object] = []
    circle.append(circle)

    assert say(circle=circle)["circle"] == [[[[["…"]]]]]


class Broken(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_value_that_cannot_be_printed_at_all_stops_nothing(form: str) -> None:
    stream = io.StringIO()

    logger_to(stream, form).info("odd.value", error=Broken())

    assert json.loads(stream.getvalue())["event"] == "log.line_unprintable"


def test_the_standard_library_logs_through_the_same_renderer() -> None:
    stream = io.StringIO()
    logging.getLogger().handlers.clear()  # pytest's own raises for the broken record below
    logger_to(stream)

    logging.getLogger("asyncio").warning("slow: %s", f"https://h/?{CANARY}")
    logging.getLogger("aiohttp.access").info("GET / 200")
    logging.getLogger("aiohttp.server").error("bad %d", "number")
    try:
        login(CANARY)
    except ConnectionError:
        logging.getLogger("aiohttp.server").exception("Error handling request")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["logger"], line["event"]) for line in lines] == [
        ("warning", "asyncio", "slow: https://h/"),
        ("error", "aiohttp.server", "bad %d"),
        ("error", "aiohttp.server", "Error handling request"),
    ]
    assert "ConnectionError" in lines[2]["exception"]
    assert CANARY not in stream.getvalue()


def test_the_standard_library_passes_by_whoever_filters_our_own_lines() -> None:
    stream = io.StringIO()
    logger_to(stream)
    processors = structlog.get_config()["processors"]
    processors.insert(0, lambda *_: {"event": "filtered"})

    logging.getLogger("asyncio").warning("slow")

    processors.pop(0)
    assert json.loads(stream.getvalue())["event"] == "slow"


@pytest.mark.parametrize(
    "text", ["a\r\nb\x00\x1b[31m\u2028c\u202ed\ud800", "a" * 500, "", "  a  b "]
)
def test_somebody_else_s_words_come_on_one_printable_line(text: str) -> None:
    line = logs.one_line(f"{text} https://u:{CANARY}@h/?{CANARY}", longest=50)

    assert line.isprintable()
    assert len(line) <= 50
    assert CANARY not in line


async def test_asyncios_own_complaints_arrive_too() -> None:
    stream = io.StringIO()
    logger_to(stream)

    asyncio.get_running_loop().call_exception_handler({"message": "lost\ntask"})

    assert json.loads(stream.getvalue())["event"] == "lost\ntask"


def test_configuring_again_does_not_double_the_lines_of_the_standard_library() -> None:
    stream = io.StringIO()
    logger_to(stream)
    logger_to(stream)

    logging.getLogger("asyncio").warning("once")

    assert len(stream.getvalue().splitlines()) == 1


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
        logger_to(stream, form).info("test.said", value=1)
        told = os.read(ours, 4096).decode()

    os.close(ours)
    assert told.startswith(starts)
    assert "test.said" in told


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    line = console(colors=True)(None, "info", {"event": "test.said", "value": 1})

    assert b"\x1b" not in line


def test_a_closed_stream_stops_nothing() -> None:
    with open(os.devnull, "w") as stream:
        log = logger_to(stream)

    log.info("into.nothing")


def test_a_stream_closed_before_the_start_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)

    logger_to(None, "auto").info("into.nothing")


def test_a_reader_that_has_gone_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with open(writing, "w") as stream:
        logger_to(stream).info("into.nothing")


def test_a_full_disk_stops_nothing() -> None:
    with open("/dev/full", "w") as stream:
        logger_to(stream).info("into.nothing")


def test_a_full_pipe_loses_whole_lines_and_tells_how_many_once_it_takes_more() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(writing, "w") as stream, open(reading, "rb", buffering=0) as reader:
        log = logger_to(stream)
        for number in range(1000):
            log.info("test.numbered", number=number, padding="x" * 500)
        took = reader.read(1 << 20)
        log.info("test.after")
        took += reader.read(1 << 20)

    lines = [json.loads(line) for line in took.splitlines()]
    *numbered, lost, after = lines
    assert [line["number"] for line in numbered] == list(range(len(numbered)))
    assert 50 < len(numbered) < 1000
    assert (lost["event"], lost["level"]) == ("log.lines_lost", "warning")
    assert lost["lines"] == 1000 - len(numbered)
    assert after["event"] == "test.after"


@given(st.lists(st.integers(0, 12), max_size=60))
def test_whatever_a_stream_takes_it_gets_whole_lines_in_order(takes: list[int]) -> None:
    """`takes`: how many bytes each write accepts, none meaning that it fails."""
    got, todo = b"", list(takes)

    class Stream(io.StringIO):
        def flush(self) -> None:
            pass

    def send(data: bytes) -> int | None:
        nonlocal got
        size = todo.pop() if todo else len(data)
        got += data[:size]
        return min(size, len(data)) or None

    output = Output()
    output.aim(Stream(), lambda _, method, fields: b"lost %d" % fields["lines"])
    output._send = send

    for number in range(100):
        output.write(b"line %d" % number)

    lines = got.splitlines()
    assert all(line.startswith((b"line ", b"lost ")) for line in lines)
    numbers = [int(line[5:]) for line in lines if line.startswith(b"line ")]
    lost = sum(int(line[5:]) for line in lines if line.startswith(b"lost "))
    assert numbers == sorted(set(numbers))
    assert len(numbers) + lost == 100


@pytest.mark.parametrize("form", ["json", "console"])
async def test_rows_and_values_that_the_database_quotes_are_not_written(
    form: str, app: Application
) -> None:
    """Neither in the error itself, nor in one behind it or within it."""
    stream = io.StringIO()
    log = logger_to(stream, form)
    await app.db.execute("CREATE TABLE kept (secret TEXT UNIQUE CHECK (length(secret) > 9))")
    errors = [
        await complaint(app, "INSERT INTO kept VALUES ($1)", CANARY),
        await complaint(app, "INSERT INTO kept VALUES ($1), ($1)", f"{CANARY}-{CANARY}"),
        await complaint(app, "SELECT $1::int", CANARY),
    ]
    for error in errors:
        log.error("test.failed", exc_info=error, reason=error)
    try:
        try:
            raise errors[0]
        except asyncpg.PostgresError:
            raise ExceptionGroup("several", errors) from errors[1]
    except ExceptionGroup:
        log.exception("test.failed")

    told = stream.getvalue()
    assert CANARY not in told
    assert (
        'violates check constraint "kept_secret_check" (sqlstate 23514, constraint'
        in told.replace("\\", "")
    )
    assert "in complaint" in told


async def complaint(app: Application, query: str, *arguments: object) -> Exception:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as raised:
        await app.db.execute(query, *arguments)
    error: Exception = raised.value
    return error
