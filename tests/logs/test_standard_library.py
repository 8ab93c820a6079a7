"""The standard library's records go through the same renderer."""

import asyncio
import io
import json
import logging

import structlog

from tests.logs.rendering import CANARY, logger_to, login


def test_the_standard_library_logs_through_the_same_renderer() -> None:
    stream = io.StringIO()
    logging.getLogger().handlers.clear()  # pytest's own handler raises for the invalid record below
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


def test_a_filter_of_our_events_does_not_apply_to_the_standard_library() -> None:
    stream = io.StringIO()
    logger_to(stream)
    processors = structlog.get_config()["processors"]
    processors.insert(0, lambda *_: {"event": "filtered"})

    logging.getLogger("asyncio").warning("slow")

    processors.pop(0)
    assert json.loads(stream.getvalue())["event"] == "slow"


async def test_errors_that_asyncio_reports_are_logged() -> None:
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
