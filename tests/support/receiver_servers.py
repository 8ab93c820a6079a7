"""
Servers in each language that judge requests with the code that the documentation shows.

A server answers 200 if the code accepts a request, 401 if it does not, and 500 if the code raises.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from daemon.admin.console.receiver_code import source
from tests.conftest import ORIGINAL_ENVIRONMENT
from tests.support.daemons import free_port, until
from tests.support.javascript import NODE, RECEIVERS

SERVERS = RECEIVERS / "servers"
# Where the toolchains of other languages are, if not in PATH.
PLACES = ("/usr/local/go/bin", str(Path.home() / ".cargo/bin"))
BUILD_SECONDS = 600

Command = list[str]


def tool(name: str) -> str:
    """The path of a program; skips the test if this machine has none."""
    found = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], *PLACES)))
    return found or pytest.skip(f"no {name} on this machine")


def _build(folder: Path, *command: str | Path, **variables: str) -> None:
    environment = ORIGINAL_ENVIRONMENT | variables
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=BUILD_SECONDS)


def _copy(folder: Path, *names: str) -> None:
    for name in names:
        shutil.copy(SERVERS / name, folder)


def _python(folder: Path, code: str) -> Command:
    _copy(folder, "server.py")
    (folder / "code_shown.py").write_text(code)
    return [sys.executable, "server.py"]


def _shell(folder: Path, code: str) -> Command:
    tool("openssl")
    _copy(folder, "server_of_script.py")
    (folder / "code_shown.sh").write_text(code)
    return [sys.executable, "server_of_script.py"]


def _node(folder: Path, code: str) -> Command:
    _copy(folder, "server.js")
    (folder / "code_shown.js").write_text(code)
    return [str(NODE), "server.js"]


def _typescript(folder: Path, code: str) -> Command:
    _copy(folder, "server.ts", "tsconfig.json")
    (folder / "code_shown.ts").write_text(code)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(RECEIVERS / "node_modules")
    _build(folder, NODE, "node_modules/typescript/bin/tsc", "-p", ".")
    return [str(NODE), "server.js"]


def _go(folder: Path, code: str) -> Command:
    _copy(folder, "server.go")
    (folder / "code_shown.go").write_text(code.replace("package receiver", "package main"))
    (folder / "go.mod").write_text("module receiver\n\ngo 1.20\n")
    _build(folder, tool("go"), "build", "-o", "server", ".", GOPROXY="off", GOTOOLCHAIN="local")
    return ["./server"]


def _php(folder: Path, code: str) -> Command:
    _copy(folder, "server.php")
    (folder / "code_shown.php").write_text(code)
    return ["sh", "-c", f'exec {tool("php")} -S "127.0.0.1:$PORT" server.php']


def _ruby(folder: Path, code: str) -> Command:
    _copy(folder, "server.rb")
    (folder / "code_shown.rb").write_text(code)
    return [tool("ruby"), "-W", "server.rb"]


def _java(folder: Path, code: str) -> Command:
    _copy(folder, "Server.java")
    (folder / "Receiver.java").write_text(code)
    _build(folder, tool("javac"), "-Xlint:all", "-Werror", "Server.java", "Receiver.java")
    return [tool("java"), "-Xmx64m", "Server"]


def _csharp(folder: Path, code: str) -> Command:
    _copy(folder, "Server.cs")
    (folder / "Receiver.cs").write_text(code)
    _build(folder, tool("mcs"), "-warnaserror", "Server.cs", "Receiver.cs")
    return [tool("mono"), "Server.exe"]


def _rust(folder: Path, code: str) -> Command:
    shutil.copytree(SERVERS / "rust", folder, dirs_exist_ok=True)
    (folder / "src/code_shown.rs").write_text(code)
    # All tests of a run share what was compiled.
    target = folder.parents[1] / "cargo"
    cargo = tool("cargo")
    _build(folder, cargo, "build", "--locked", "--quiet", CARGO_TARGET_DIR=str(target))
    shutil.copy(target / "debug/receiver", folder / "server")
    return ["./server"]


BUILDERS: dict[str, Callable[[Path, str], Command]] = {
    "python": _python,
    "node": _node,
    "typescript": _typescript,
    "go": _go,
    "php": _php,
    "ruby": _ruby,
    "java": _java,
    "csharp": _csharp,
    "rust": _rust,
    "shell": _shell,
}


@asynccontextmanager
async def receiver_server(
    language: str, scheme: str, folder: Path, *, secret: str | None
) -> AsyncIterator[str | None]:
    """
    Build and run a server in `folder`; yields its URL, or None if it refused to start.

    Skips the test if the machine lacks the language.
    """
    command = await asyncio.to_thread(_built, language, scheme, folder)
    port = free_port()
    environment = os.environ | {"PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1"}
    if secret is not None:
        environment |= {"WEBHOOK_SECRET": secret}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        await until(lambda: _is_up_or_ended(process, port), every=0.05)
        assert secret is None or process.returncode is None, (folder / "log").read_text()
        yield None if process.returncode is not None else f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _built(language: str, scheme: str, folder: Path) -> Command:
    folder.mkdir(parents=True)
    return BUILDERS[language](folder, source(language, scheme))


async def _is_up_or_ended(process: Process, port: int) -> bool:
    if process.returncode is not None:
        return True
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
