"""The showroom: what it shows in a few seconds, how it ends, and that nothing is left of it."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon.cli.demo.display import Stage
from daemon.cli.demo.summary import Counts, Witness
from daemon.cli.support.console import Screen
from daemon.config import Delivery
from daemon.core.event_types import EVENT_TYPES
from tests.support.commandline import running, webhookd
from tests.support.postgres import roomy_folder

NO_POSTGRESQL = (
    "from daemon import cli; from daemon.embedded import binaries;"
    "binaries._candidates = lambda: iter(()); cli.main()"
)


@pytest.fixture
def room() -> Iterator[Path]:
    """For temporary files, so that what is left can be seen; short, for a socket lies in it."""
    with roomy_folder() as folder:
        yield folder


def left_in(room: Path) -> list[str]:
    return [str(path) for path in room.rglob("*")]


def is_delivery(line: str) -> bool:
    return "✓ valid" in line


async def test_six_seconds_show_all_there_is_to_see(room: Path, tmp_path: Path) -> None:
    ended = await webhookd("demo", "--seconds", "6", folder=tmp_path, env={"TMPDIR": str(room)})

    lines = ended.out.splitlines()
    deliveries = [line for line in lines if is_delivery(line)]
    shown = {line.split()[1] for line in deliveries}
    assert (ended.code, ended.err) == (0, "")
    assert shown == {event_type.name for event_type in EVENT_TYPES}
    assert any("200" in line and "at try 2" in line for line in deliveries)
    assert any("503" in line and "try 1, next in 1s" in line for line in deliveries)
    assert any("Old ERP is FAILING: 5 failed" in line for line in lines)
    assert any("Old ERP is half way to being PAUSED: 6 failed" in line for line in lines)
    assert any("Old ERP will soon be PAUSED: 11 failed" in line for line in lines)
    assert any("Old ERP is PAUSED: 12 failed" in line for line in lines)
    assert re.search(r"paused +Old ERP$", ended.out, re.MULTILINE)
    assert any("VIP Desk" in line for line in deliveries)
    assert "in earnest after 1m, 5m, 15m, 1h" in ended.out
    assert re.search(rf"signatures +{len(deliveries)} valid$", ended.out, re.MULTILINE)
    assert re.search(r"latency +[0-9.]+ ms, the median", ended.out)
    assert "INVALID" not in ended.out
    assert "\x1b" not in ended.out
    assert "whsec_" not in ended.out
    assert max(map(len, lines)) <= 100
    assert left_in(room) == []


def test_the_summary_tells_who_was_resumed_and_counts_as_people_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = Counts(
        events=1, types=1, deliveries=4, attempts=3, at_first_try=1, after_retries=1, waiting=1
    )
    witness = Witness(paused=["Old ERP", "Other ERP"], resumed=["Old ERP"])

    Stage(Screen(), Delivery()).fall(counts, witness)

    shown = capsys.readouterr().out
    assert "Old ERP (and resumed), Other ERP" in shown
    assert "1 after retries; 1 waits for a retry, 1 was given up" in " ".join(shown.split())


async def test_an_interrupt_ends_it_with_the_summary(room: Path, tmp_path: Path) -> None:
    async with running("demo", folder=tmp_path, env={"TMPDIR": str(room)}) as demo:
        await demo.line(is_delivery)
        code = await demo.stop(signal.SIGINT)

    assert (code, demo.err) == (0, [])
    assert "What came of it" in demo.out
    assert left_in(room) == []


async def test_a_second_signal_ends_it_at_once_and_takes_the_database_along(
    room: Path, tmp_path: Path
) -> None:
    async with running("demo", folder=tmp_path, env={"TMPDIR": str(room)}) as demo:
        await demo.line(is_delivery)
        children = psutil.Process(demo.process.pid).children(recursive=True)
        os.kill(demo.process.pid, signal.SIGSTOP)  # so that both come before it can end
        os.kill(demo.process.pid, signal.SIGINT)
        os.kill(demo.process.pid, signal.SIGTERM)
        os.kill(demo.process.pid, signal.SIGCONT)
        code = await demo.wait()

    gone, alive = psutil.wait_procs(children, timeout=10)
    assert code == 1
    assert gone
    assert not alive
    assert not [name for name in left_in(room) if name.endswith("/cluster/base")]


async def test_without_postgresql_it_says_what_to_install(room: Path, tmp_path: Path) -> None:
    ended = await webhookd(
        "demo", folder=tmp_path, env={"TMPDIR": str(room)}, python=("-c", NO_POSTGRESQL)
    )

    assert ended.code == 1
    assert ended.err.startswith("webhookd: No PostgreSQL was found to embed: ")
    assert ended.err.count("\n") == 1
    assert left_in(room) == []
