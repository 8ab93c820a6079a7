"""A server that answers 200 when `is_ours` in code_shown.py accepts a request, else 401."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from code_shown import is_ours  # type: ignore[import-not-found]  # put beside it by a test


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status = 200 if is_ours(body, self.headers) else 401
        except Exception:  # noqa: BLE001 - the test asks whether the code raises
            status = 500
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
