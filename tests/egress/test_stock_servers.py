"""Servers as they come get every body whole, and log no error when their connections are closed."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from daemon.core.model.attempts import Response
from daemon.egress import pool
from tests.support.client import request_to, webhook_client
from tests.support.daemons import free_port, until
from tests.support.javascript import NODE

REQUESTS = 12
BODY = os.urandom(200_000)

# Each prints the digest of every body, and answers with the status in the path.
HTTP_SERVER = """
import hashlib, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = os.environ["PROTOCOL"]
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(hashlib.sha256(body).hexdigest(), flush=True)
        self.send_response(int(self.path[1:4]))
        self.send_header("Content-Length", "0")
        if self.path.endswith("close"):
            self.send_header("Connection", "close")
        self.end_headers()
    def log_message(self, *_):
        pass
class Server(ThreadingHTTPServer):
    request_queue_size = 100
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
AIOHTTP = """
import hashlib, logging, os
from aiohttp import web
logging.basicConfig(level=logging.INFO)
async def answer(request):
    print(hashlib.sha256(await request.read()).hexdigest(), flush=True)
    response = web.Response(status=int(request.path[1:4]))
    if request.path.endswith("close"):
        response.force_close()
    return response
app = web.Application()
app.router.add_post("/{rest:.*}", answer)
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)
"""
NODE_HTTP = """
const {createHash} = require('crypto');
require('http').createServer((request, response) => {
  const hash = createHash('sha256');
  request.on('error', error => console.error(error));
  response.on('error', error => console.error(error));
  request.on('data', data => hash.update(data));
  request.on('end', () => {
    console.log(hash.digest('hex'));
    if (request.url.endsWith('close')) response.setHeader('Connection', 'close');
    response.writeHead(Number(request.url.slice(1, 4))).end();
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
"""
PHP = """<?php
file_put_contents('php://stdout', hash('sha256', file_get_contents('php://input')) . "\\n");
http_response_code((int) substr($_SERVER['REQUEST_URI'], 1, 3));
"""
SERVERS = {
    "http.server": ([sys.executable, "-c", HTTP_SERVER], "HTTP/1.1"),
    "http.server, HTTP 1.0": ([sys.executable, "-c", HTTP_SERVER], "HTTP/1.0"),
    "aiohttp": ([sys.executable, "-c", AIOHTTP], ""),
    "Node.js": ([str(NODE), "-e", NODE_HTTP], ""),
    "PHP": (["php", "-q", "-S", "127.0.0.1:{port}", "index.php"], ""),
}


class Server:
    """A process that serves `url`."""

    def __init__(self, url: str, output: Path) -> None:
        self.url = url
        self._output = output

    def times(self, body: bytes) -> int:
        """How often it has got this body."""
        return self._output.read_text().count(hashlib.sha256(body).hexdigest())


@asynccontextmanager
async def running(name: str, folder: Path) -> AsyncIterator[Server]:
    """Run a server; at the end, nothing may be in its log of errors."""
    command, protocol = SERVERS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    (folder / "index.php").write_text(PHP)
    port = free_port()
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(part.format(port=port) if name == "PHP" else part for part in command),
            cwd=folder,
            env=os.environ | {"PORT": str(port), "PROTOCOL": protocol},
            stdout=output,
            stderr=errors,
        )
    try:
        yield Server(f"http://127.0.0.1:{port}", folder / "output")
    finally:
        process.kill()
        await process.wait()
    logged = (folder / "errors").read_text().splitlines()
    assert [line for line in logged if not line.endswith("started")] == []  # PHP says so


@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_gets_whole_bodies_and_logs_no_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_IDLE_SECONDS", 0.1)
    async with running(name, tmp_path) as server, webhook_client(seconds=30.0) as client:

        async def up() -> bool:
            outcome = await client.send(request_to(f"{server.url}/200", b""))
            return isinstance(outcome.result, Response)

        await until(up)
        paths = ["/200", "/200-close", "/500", "/500-close"] * REQUESTS
        outcomes = await asyncio.gather(
            *(client.send(request_to(server.url + path, BODY)) for path in paths)
        )
        await asyncio.sleep(0.3)  # idle connections are closed meanwhile

    assert server.times(BODY) == len(paths)
    statuses = [each.result.status for each in outcomes if isinstance(each.result, Response)]
    assert statuses == [int(path[1:4]) for path in paths]
