"""Node.js, the reference for how JavaScript prints JSON."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.core.wire.json_texts import Stringify
from tests.support.javascript import NODE, RECEIVERS


@pytest.fixture(scope="package")
def stringify() -> Iterator[Stringify]:
    """`JSON.stringify(JSON.parse(text))` by Node.js itself."""
    with subprocess.Popen(
        [NODE, RECEIVERS / "stringify.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, responses = process.stdin, process.stdout

        def by_node(text: str) -> str:
            requests.write(json.dumps(text).encode() + b"\n")
            requests.flush()
            return responses.readline().decode().removesuffix("\n")

        yield by_node
