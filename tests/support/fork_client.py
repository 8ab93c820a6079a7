"""
A program for shells: `python -ISE fork_client.py SOCKET -m daemon ARGUMENTS…`, without an import.

It runs the command in a fork of the fork server (see fork_server.py), passes signals on to it, and
ends with its exit code.
"""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(path: str, *python: str) -> int:
    """Run the command; return its exit code, or end by the signal that ended it."""
    # One that comes before the fork is known waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    reading, writing = os.pipe()
    command = {"python": python, "environment": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(path)
        socket.send_fds(server, [json.dumps(command).encode()], [0, 1, 2, writing])
    os.close(writing)
    with os.fdopen(reading) as report:
        fork = int(report.readline())
        for number in PASSED_ON:
            signal.signal(number, lambda received, _frame: os.kill(fork, received))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        code = int(report.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
