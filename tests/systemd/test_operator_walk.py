"""
An operator's walk, by the documentation's own commands: from the installation to a restore.

In a container that boots systemd, and in short, without systemd and pip, as plain processes: the
rules of the container are those of test_container.py.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import textwrap
import zipfile
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.packaging import deb
from tests.supply_chain.pins import RUNTIME
from tests.support import specification
from tests.support.commandline import ROOT, environment
from tests.support.daemons import free_port, until
from tests.support.failover import USER, Server, needs_server_programs, new_server, servers_folder
from tests.systemd.container import boot, reason_to_skip
from tests.systemd.image import CACHE

HERE = Path(__file__).parent
SEEN = (
    *("installed", "adopted", "started", "delivered", "mailed", "explained", "fixed", "replayed"),
    *("upgraded", "unready", "failed_over", "restored", "end"),
)
OWNED = ("webhooks", "webhook_events", "webhook_deliveries", "tenants")
SEED = f"""
CREATE ROLE app LOGIN PASSWORD 'app';
{specification.TENANTS};
{specification.TABLES};
{specification.INSERT_WEBHOOK.replace("https://example.com/hook", "http://127.0.0.1:9000/crm")};
{specification.INSERT_EVENTS.replace("$1", "3")};
{specification.INSERT_DELIVERIES.replace("$1", "200")};
GRANT ALL ON SCHEMA public TO app;
{"".join(f"ALTER TABLE {table} OWNER TO app;" for table in OWNED)}
"""


def commands(page: str, section: str, number: str | None) -> str:
    """The commands of a section, or the block with this number, from 1."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    [body] = re.findall(
        rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE
    )
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", body, re.DOTALL | re.MULTILINE)
    chosen = blocks if number is None else [blocks[int(number) - 1]]
    return "\n".join(map(textwrap.dedent, chosen))


def walk() -> str:
    """The whole walk, without the machine's part."""
    return re.sub(
        r"^@doc (\w+): (.*?)(?: #(\d))?$",
        lambda found: commands(found[1], found[2], found[3]),
        (HERE / "operator_walk.sh").read_text(),
        flags=re.MULTILINE,
    )


def seen(folder: Path) -> dict[str, str]:
    """What the walk saw, in its order."""
    lines = (folder / "steps").read_text().splitlines()
    return {name: what for name, _, what in (line.partition(": ") for line in lines)}


def told(folder: Path) -> str:
    """The end of what the walk printed."""
    return "\n".join((folder / "output").read_text().splitlines()[-300:])


def newer(wheel: Path, folder: Path) -> str:
    """Write the wheel with a higher version; returns that."""
    old = wheel.name.split("-")[1]
    new = f"{old}.post1"
    folder.mkdir()
    with (
        zipfile.ZipFile(wheel) as source,
        zipfile.ZipFile(folder / wheel.name.replace(old, new), "w") as target,
    ):
        for name in source.namelist():
            data = source.read(name)
            if name.endswith((".dist-info/METADATA", ".dist-info/RECORD")):
                data = data.replace(f"Version: {old}\n".encode(), f"Version: {new}\n".encode())
                data = data.replace(f"-{old}.dist-info".encode(), f"-{new}.dist-info".encode())
            target.writestr(name.replace(f"-{old}.dist-info", f"-{new}.dist-info"), data)
    return new


def pinned_wheels() -> Path:
    """The folder with what the lock file pins, which is downloaded once for each lock file."""
    folder = CACHE / "penguinmails-webhooks" / f"wheels-{sha256(RUNTIME.read_bytes()).hexdigest()}"
    if not folder.exists():
        base = getattr(sys, "_base_executable", sys.executable)
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = mkdtemp(dir=folder.parent)
        pip = (base, "-I", "-m", "pip", "download", "-q", "--require-hashes")
        deb.run(*pip, "--only-binary=:all:", "-d", unfinished, "-r", str(RUNTIME))
        Path(unfinished).rename(folder)
    return folder


def collect_wheels(share: Path) -> tuple[str, str]:
    """Put the wheel and what it needs into a folder for pip; returns its version, and a newer."""
    wheels = share / "wheels"
    deb.run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels))
    [wheel] = wheels.iterdir()
    for file in pinned_wheels().iterdir():
        shutil.copy(file, wheels)
    return wheel.name.split("-")[1], newer(wheel, share / "newer")


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_the_walk_under_systemd(tmp_path: Path) -> None:
    if (reason := reason_to_skip()) is not None:
        pytest.skip(reason)
    if deb.python_version(deb.SYSTEM_PYTHON) != deb.python_version(Path(sys.executable)):
        pytest.skip("the tests run with another Python than Debian's")
    old, new = collect_wheels(tmp_path)
    (tmp_path / "seed.sql").write_text(SEED)
    shutil.copy(HERE / "outside.py", tmp_path)
    versions = f"OLD_VERSION={old} NEW_VERSION={new}\n"
    machine = (HERE / "machine_systemd.sh").read_text()
    (tmp_path / "walk.sh").write_text(versions + machine + walk())

    boot(tmp_path)

    assert seen(tmp_path) == dict.fromkeys(SEEN, "yes"), told(tmp_path)


@pytest.mark.full
@pytest.mark.timeout(600)
@needs_server_programs
async def test_the_walk_in_short_without_systemd(tmp_path: Path) -> None:
    async with servers_folder() as folder:
        primary = await new_server(folder)
        await primary.start()
        ports = {
            "PRIMARY_PORT": primary.port,
            "STANDBY_PORT": free_port(),
            "ADMIN_PORT": free_port(),
            "RECEIVER_PORT": free_port(),
            "SMTP_PORT": free_port(),
        }
        variables = {
            "SHARE": str(tmp_path),
            "MACHINE": str(tmp_path / "machine"),
            "PYTHON": sys.executable,
            "OUTSIDE": str(HERE / "outside.py"),
            "PGUSER": USER,
            **{name: str(port) for name, port in ports.items()},
        }
        (tmp_path / "seed.sql").write_text(in_a_folder(SEED, variables))
        machine = (HERE / "machine_plain.sh").read_text()
        script = tmp_path / "walk.sh"
        script.write_text(machine + in_a_folder(walk(), variables))
        process = await asyncio.create_subprocess_exec(
            *("bash", str(script)),
            cwd=tmp_path,
            env=environment(variables),
            start_new_session=True,
        )
        serving = asyncio.create_task(serve(primary, ports["STANDBY_PORT"], tmp_path))
        try:
            await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):  # usually it has left nothing behind
                os.killpg(process.pid, signal.SIGKILL)
            serving.cancel()
            await asyncio.wait([serving])

    assert seen(tmp_path) == dict.fromkeys(SEEN, "yes"), told(tmp_path)


def in_a_folder(text: str, variables: dict[str, str]) -> str:
    """Move absolute paths into the machine's folder, and fixed ports to free ones."""
    for path in ("/etc/", "/opt/", "/usr/local/"):
        text = re.sub(rf"(?<![\w}}])(?={path}(?!machine))", variables["MACHINE"], text)
    text = text.replace("127.0.0.1:9000", f"127.0.0.1:{variables['RECEIVER_PORT']}")
    text = text.replace('"9000"', f'"{variables["RECEIVER_PORT"]}"')
    text = text.replace("smtp://localhost", f"smtp://localhost:{variables['SMTP_PORT']}")
    text = text.replace("127.0.0.1:8484", f"127.0.0.1:{variables['ADMIN_PORT']}")
    return re.sub(r"^\S*/bin/pip ", "pip ", text, flags=re.MULTILINE)


async def serve(primary: Server, port: int, folder: Path) -> None:
    """Make the standby and stop the primary when the walk asks for it."""
    for name in ("standby", "stop"):
        await until(lambda name=name: (folder / f"asked-{name}").exists(), within=600)
        if name == "standby":
            await (await primary.standby(port)).start()
        else:
            await primary.stop()
        (folder / f"done-{name}").touch()
