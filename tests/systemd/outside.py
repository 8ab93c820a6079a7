"""
What is outside of the operator's machine: `outside.py FOLDER HTTP-PORT SMTP-PORT`.

A receiver appends the ids of what it accepts to the file `accepted` + path in the folder, and
answers 500 at /first while there is a file `broken`. A mail server appends all mails to `mails`.
"""

import json
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])


class Receiver(BaseHTTPRequestHandler):
    """Accepts deliveries."""

    def do_POST(self) -> None:
        """Answer one."""
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_broken = self.path == "/first" and (FOLDER / "broken").exists()
        if not is_broken:
            with (FOLDER / f"accepted{self.path}").open("a") as file:
                file.write(f"{event['id']}\n")
        self.send_response(500 if is_broken else 200)
        self.end_headers()


class MailServer(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs."""

    def handle(self) -> None:
        """Serve one session."""
        self.wfile.write(b"220 mail\r\n")
        for line in self.rfile:
            command = line[:4].upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                with (FOLDER / "mails").open("ab") as file:
                    for text in iter(self.rfile.readline, b".\r\n"):
                        file.write(text)
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 yes\r\n")
            if command == b"QUIT":
                return


if __name__ == "__main__":
    for path in ("accepted/first", "accepted/crm", "mails"):
        (FOLDER / path).parent.mkdir(exist_ok=True)
        (FOLDER / path).touch()
    mail = socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[3])), MailServer)
    threading.Thread(target=mail.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Receiver).serve_forever()
