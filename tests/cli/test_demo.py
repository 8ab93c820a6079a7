"""`webhookd demo`: its output within a few seconds, its end, and that it leaves nothing behind."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon.cli.demo.display import Display
from daemon.cli.demo.summary import Observations
from daemon.cli.support.console import Screen
from daemon.config import Delivery
from daemon.core.event_types import EVENT_TYPES
from daemon.store.demo import Totals
from tests.support.commandline import running, webhookd
from tests.support.postgres import folder_for_postgres

NO_POSTGRESQL = (
    "from daemon import cli; from daemon.embedded import binaries;"
    "binaries._candidates = lambda: iter(()); cli.main()"
)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The demo's folder for temporary files; its path is short: it will contain a socket."""
    with folder_for_postgres() as folder:
        yield folder


def files_in(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*")]


def is_delivery(line: str) -> bool:
    return "  valid  " in line


async def test_ten_seconds_show_every_event_type_failures_retries_and_a_pause(
    temporary: Path, tmp_path: Path
) -> None:
    ended = await webhookd(
        "demo", "--seconds", "10", folder=tmp_path, env={"TMPDIR": str(temporary)}
    )

    lines = ended.out.splitlines()
    deliveries = [line for line in lines if is_delivery(line)]
    shown = {line.split()[1] for line in deliveries}
    assert (ended.code, ended.err) == (0, "")
    assert shown == {event_type.name for event_type in EVENT_TYPES}
    assert any("200" in line and "attempt 2" in line for line in deliveries)
    assert any("503" in line and "attempt 1, next in 1s" in line for line in deliveries)
    assert any("Old ERP is FAILING: 5 failed" in line for line in lines)
    assert any("Old ERP is half way to being PAUSED: 6 failed" in line for line in lines)
    assert any("Old ERP will soon be PAUSED: 11 failed" in line for line in lines)
    assert any("Old ERP is PAUSED: 12 failed" in line for line in lines)
    assert re.search(r"Paused +Old ERP$", ended.out, re.MULTILINE)
    assert any("Data Lake is FAILING" in line for line in lines)
    assert any("VIP Alerts" in line for line in deliveries)
    assert "(default: 1m, 5m, 15m, 1h" in ended.out
    assert re.search(rf"Signatures +{len(deliveries)} valid$", ended.out, re.MULTILINE)
    assert re.search(r"Latency +[0-9.]+ ms from insert to first request", ended.out)
    assert "INVALID" not in ended.out
    assert re.search(
        r"^ +http://127\.0\.0\.1:\d+/console/enter#[\w-]{32}$", ended.out, re.MULTILINE
    )
    assert "\x1b" not in ended.out
    assert "whsec_" not in ended.out
    assert max(map(len, lines)) <= 80
    assert files_in(temporary) == []


def test_the_summary_names_resumed_webhooks_and_splits_the_deliveries_by_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    totals = Totals(
        events=1,
        event_types=1,
        deliveries=4,
        attempts=3,
        succeeded_at_once=1,
        succeeded_later=1,
        pending=1,
    )
    observed = Observations(paused=["Old ERP", "Other ERP"], resumed=["Old ERP"])

    Display(Screen(), Delivery()).show_summary(totals, observed)

    shown = capsys.readouterr().out
    assert "Old ERP (resumed), Other ERP" in shown
    assert "1 succeeded at once, 1 after retries, 1 pending, 1 exhausted" in shown


async def test_an_interrupt_ends_the_demo_with_the_summary(temporary: Path, tmp_path: Path) -> None:
    async with running("demo", folder=tmp_path, env={"TMPDIR": str(temporary)}) as demo:
        await demo.line(is_delivery)
        code = await demo.stop(signal.SIGINT)

    assert (code, demo.err) == (0, [])
    assert "Summary" in demo.out
    assert files_in(temporary) == []


@pytest.mark.full
async def test_a_second_signal_ends_the_demo_and_its_database_at_once(
    temporary: Path, tmp_path: Path
) -> None:
    async with running("demo", folder=tmp_path, env={"TMPDIR": str(temporary)}) as demo:
        await demo.line(is_delivery)
        children = psutil.Process(demo.process.pid).children(recursive=True)
        os.kill(demo.process.pid, signal.SIGSTOP)  # both signals arrive before it can end
        os.kill(demo.process.pid, signal.SIGINT)
        os.kill(demo.process.pid, signal.SIGTERM)
        os.kill(demo.process.pid, signal.SIGCONT)
        code = await demo.wait()

    gone, alive = psutil.wait_procs(children, timeout=10)
    assert code == 1
    assert gone
    assert not alive
    assert not [name for name in files_in(temporary) if name.endswith("/cluster/base")]


async def test_the_demo_says_what_to_install_when_postgresql_is_missing(
    temporary: Path, tmp_path: Path
) -> None:
    ended = await webhookd(
        "demo", folder=tmp_path, env={"TMPDIR": str(temporary)}, python=("-c", NO_POSTGRESQL)
    )

    assert ended.code == 1
    assert ended.err.startswith("webhookd: No PostgreSQL to embed was found: ")
    assert ended.err.count("\n") == 1
    assert files_in(temporary) == []
