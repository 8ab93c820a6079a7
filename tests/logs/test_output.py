"""A stream that fails loses whole lines, and nothing else."""

import asyncio
import io
import json
import os
import sys
from collections.abc import Iterator
from io import TextIOBase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.logs.output import Output
from tests.logs.rendering import logger_to

# In these four tests the call is the check: whatever it raises fails them.


def test_logging_to_a_closed_stream_raises_nothing() -> None:
    with open(os.devnull, "w") as stream:
        log = logger_to(stream)

    log.info("into.nothing")


def test_logging_without_a_stderr_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)

    logger_to(None, "auto").info("into.nothing")


def test_logging_to_a_pipe_without_a_reader_raises_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with open(writing, "w") as stream:
        logger_to(stream).info("into.nothing")


def test_logging_to_a_full_disk_raises_nothing() -> None:
    with open("/dev/full", "w") as stream:
        logger_to(stream).info("into.nothing")


def test_a_full_pipe_loses_whole_lines_and_later_reports_how_many() -> None:
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
def test_a_stream_that_accepts_parts_gets_whole_lines_in_order(takes: list[int]) -> None:
    """`takes`: how many bytes each write accepts; 0 means that it fails."""
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
    output.redirect(Stream(), lambda _, method, fields: b"lost %d" % fields["lines"])
    output._send = send

    for number in range(100):
        output.write(b"line %d" % number)

    lines = got.splitlines()
    assert all(line.startswith((b"line ", b"lost ")) for line in lines)
    numbers = [int(line[5:]) for line in lines if line.startswith(b"line ")]
    lost = sum(int(line[5:]) for line in lines if line.startswith(b"lost "))
    assert numbers == sorted(set(numbers))
    assert len(numbers) + lost == 100


@pytest.fixture
def pipe() -> Iterator[tuple[TextIOBase, int]]:
    """A stream, and the number of the descriptor that reads what it writes."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(writing, "w") as stream:
        yield stream, reading
    os.close(reading)


async def test_lines_of_one_iteration_of_the_loop_are_one_write_in_order(
    pipe: tuple[TextIOBase, int],
) -> None:
    stream, reading = pipe
    log = logger_to(stream)
    log.info("test.first")
    log.info("test.second")
    with pytest.raises(BlockingIOError):
        os.read(reading, 1 << 16)
    log.warning("test.third")
    at_once = os.read(reading, 1 << 16)
    log.info("test.fourth")
    await asyncio.sleep(0)
    later = os.read(reading, 1 << 16)

    assert _events(at_once) == ["test.first", "test.second", "test.third"]
    assert _events(later) == ["test.fourth"]


def _events(lines: bytes) -> list[str]:
    return [json.loads(line)["event"] for line in lines.splitlines()]
