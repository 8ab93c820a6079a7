"""A server that answers 200 when the script in code_shown.sh exits with 0, and 401 for 1."""

import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        variables = {
            "HTTP_" + name.upper().replace("-", "_"): value.encode("latin-1")
            for name, value in self.headers.items()
        }
        command = ["sh", "code_shown.sh"]
        done = subprocess.run(command, input=body, env=os.environ | variables, check=False)
        self.send_response({0: 200, 1: 401}.get(done.returncode, 500))
        self.send_header("Content-Length", "0")
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
