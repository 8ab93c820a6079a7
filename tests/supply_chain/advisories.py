"""
An advisory database on loopback, in place of the package index's own.

pip-audit's requests reach it through the variables of the environment that name a proxy and a
certificate authority; the proxy answers for each host itself.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.certificates import Authority

ADVISORY = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fixed_in": ["99.1"], "summary": "It leaks."}


@dataclass
class Advisories:
    """
    `listed` are the pins (`name==version`) with an advisory; `asked` are all that were looked up.

    `status` is that of every answer; while `silent` is not set there is none at all.
    """

    listed: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    answering: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str) -> dict[str, Any]:
        """Return the index's record of a release, whose path ends with `name/version/json`."""
        pin = "==".join(path.split("/")[-3:-1])
        self.asked.append(pin)
        return {"vulnerabilities": [ADVISORY] if pin in self.listed else []}


@contextmanager
def advisory_database(folder: Path) -> Iterator[tuple[Advisories, dict[str, str]]]:
    """Yield what it knows and the environment of a program that asks it; `folder` is its own."""
    advisories, authority = Advisories(), Authority()
    advisories.answering.set()
    (folder / "authority.pem").write_text(authority.pem)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(advisories, authority)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield advisories, _environment(server.server_port, folder)
        finally:
            advisories.answering.set()
            server.shutdown()
            thread.join()


def _environment(port: int, folder: Path) -> dict[str, str]:
    names = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    trusted = str(folder / "authority.pem")
    return {**kept, "HTTPS_PROXY": f"http://127.0.0.1:{port}", "REQUESTS_CA_BUNDLE": trusted}


def _handler(advisories: Advisories, authority: Authority) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            host = self.path.rpartition(":")[0]
            tls = authority.server(host).wrap_socket(self.connection, server_side=True)
            self.connection, self.rfile, self.wfile = tls, tls.makefile("rb"), tls.makefile("wb")
            self.close_connection = False

        def do_GET(self) -> None:
            advisories.answering.wait()
            body = json.dumps(advisories.answer(self.path)).encode()
            self.send_response(advisories.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def finish(self) -> None:
            with suppress(ConnectionError):  # the client has given up
                super().finish()
            self.connection.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Print nothing."""

    return Handler
