"""
A process that has imported the daemon, and forks for each `webhookd` that tests start.

Importing takes most of the CPU time of a short command. A fork has a process id, signals, standard
files and an exit code of its own, as a new process has. Its client is forked_process.py.
"""

import contextlib
import gc
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from importlib import import_module

import daemon
from daemon import cli

MAX_REQUEST_BYTES = 128 * 1024
STANDARD_FILES = 3
NOT_IMPORTED = {"daemon.__main__", "daemon.embedded.child_process"}  # programs


@dataclass(frozen=True, slots=True)
class Command:
    """The arguments of Python that a fork obeys, its environment and its working directory."""

    python: list[str]
    environment: dict[str, str]
    folder: str


def import_all() -> None:
    """Import what the daemon or any command would import."""
    cli._register()  # the order of the commands in the help
    for module in pkgutil.walk_packages(daemon.__path__, "daemon."):
        if module.name not in NOT_IMPORTED:
            import_module(module.name)
    gc.collect()
    gc.freeze()  # otherwise each garbage collection of a fork would copy these objects' pages


def serve(control: socket.socket, listener: socket.socket) -> Command | None:
    """
    Fork for each request; report the fork's process id, and later its exit code.

    Requests come from the process that started us and, one per connection, from `listener`. Returns
    the command in each fork, and None in this process once the former has gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the client, which ends us
    ended = _wake_up_for_ended_children()
    reports: dict[int, int] = {}
    poll = select.poll()
    for each in (control, listener, ended):
        poll.register(each, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if ended in ready:
            os.read(ended, 4096)
            _report_ended(reports)
        text, files = b"", list[int]()
        if control.fileno() in ready:
            text, files = _request(control)
            if not text:
                return None
        elif listener.fileno() in ready:
            with listener.accept()[0] as connection:
                text, files = _request(connection)
        if text:
            child = os.fork()
            if child == 0:
                control.detach()
                listener.detach()
                _become_new_process(files[:STANDARD_FILES])
                return Command(**json.loads(text))
            *standard, reports[child] = files
            os.write(reports[child], b"%d\n" % child)
            for file in standard:
                os.close(file)


def _request(client: socket.socket) -> tuple[bytes, list[int]]:
    """Read one request: a command as JSON, the fork's standard files, and that for its report."""
    text, files, _, _ = socket.recv_fds(client, MAX_REQUEST_BYTES, STANDARD_FILES + 1)
    return text, files


def _wake_up_for_ended_children() -> int:
    """Return a descriptor that becomes readable when a child process ends."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return readable


def _report_ended(reports: dict[int, int]) -> None:
    """Report the exit code of each fork that has ended; -N if signal N ended it."""
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            report = reports.pop(child)
            with contextlib.suppress(BrokenPipeError):
                os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
            os.close(report)


def _become_new_process(standard: list[int]) -> None:
    """Keep these standard files and no others; handle signals as a new process does."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(standard):
        os.dup2(file, number)
    os.closerange(STANDARD_FILES, os.sysconf("SC_OPEN_MAX"))


def run(command: Command) -> None:
    """Run a command to its end. Raises what it raises, such as SystemExit."""
    os.environ.clear()
    os.environ.update(command.environment)
    os.chdir(command.folder)
    time.tzset()
    _open_standard_files(unbuffered="PYTHONUNBUFFERED" in os.environ)
    option, program, *arguments = command.python
    sys.argv = [option, *arguments]
    if option == "-c":
        exec(program, {"__name__": "__main__"})
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _open_standard_files(*, unbuffered: bool) -> None:
    """Open them as Python does at its start: those of the fork server may be of another kind."""
    output = io.FileIO(1, "w", closefd=False)
    errors = io.FileIO(2, "w", closefd=False)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(output), line_buffering=output.isatty(), write_through=unbuffered
    )
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(errors), errors="backslashreplace", line_buffering=True
    )


def main() -> None:
    """Serve with the sockets that the arguments number, one connected and one that listens."""
    control, listener = (socket.socket(fileno=int(each)) for each in sys.argv[1:])
    with control, listener:
        import_all()
        command = serve(control, listener)
    if command is not None:
        run(command)


if __name__ == "__main__":
    main()
