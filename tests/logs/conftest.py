import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from daemon.logs.json_lines import render_json
from tests.logs.rendering import Render


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def render() -> Render:
    """Render one event as JSON and parse it."""

    def render(event: str = "test.rendered", **fields: object) -> dict[str, object]:
        line = render_json(None, "info", {**fields, "event": event})
        assert b"\n" not in line
        read: dict[str, object] = json.loads(line)
        return read

    return render
