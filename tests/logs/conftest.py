import json

import pytest

from daemon.logs.json_lines import render_json
from tests.logs.rendering import Render


@pytest.fixture
def render() -> Render:
    """Render one event as JSON and parse it."""

    def render(event: str = "test.rendered", **fields: object) -> dict[str, object]:
        line = render_json(None, "info", {**fields, "event": event})
        assert b"\n" not in line
        read: dict[str, object] = json.loads(line)
        return read

    return render
