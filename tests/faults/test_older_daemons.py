"""
Upgrades in service: a daemon of an older revision works, with its own code, while the schema is
brought up to date and the next one starts beside it.

The older code comes from git; where a checkout has no history, these tests are skipped.
"""

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Unpack

import pytest

from tests.bench.variants import (
    FailedProgramError,
    UnusableVariantError,
    Variant,
    exported,
    migrate,
    this_checkout,
)
from tests.faults.older_daemons import SETTINGS, Load
from tests.support.daemons import Daemon, StartOptions, daemon, free_port
from tests.support.receiver import Receiver

pytestmark = pytest.mark.full

# They know no leases in the inbox: beside a newer daemon, both would send each event.
WITHOUT_LEASES = {
    "5240dc9167": "0004",
    "292c8560a2": "0005, the last without leases",
}
WITH_LEASES = {
    "4824bee3ef": "0010, the last that inserts a row before the first attempt",
    "c9cda0e791": "0011, the first with attempts from the inbox",
    "860a532d56": "0015, the first with partitions",
    "d2a75510fe": "0023, with chains, stats and operational events",
    "466e155ac8": "0031, the last before the newest",
}


def older(revision: str, folder: Path) -> Variant:
    """Return the daemon of a revision; skips the test where there is no history."""
    try:
        return exported(revision, folder)
    except UnusableVariantError as error:
        pytest.skip(f"this checkout has no such history: {error}")


async def migrate_patiently(variant: Variant, database: str, folder: Path) -> None:
    """Migrate, once more where daemons held the locks for two minutes, as its message says."""
    try:
        await migrate(variant, database, folder)
    except FailedProgramError as error:
        if "try again" not in str(error):
            raise
        await migrate(variant, database, folder)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("revision", [*WITHOUT_LEASES, *WITH_LEASES])
async def test_an_older_daemon_delivers_until_the_next_one_takes_over_under_load(
    empty_database: str, receiver: Receiver, tmp_path: Path, revision: str
) -> None:
    old = older(revision, tmp_path)
    await migrate(old, empty_database, tmp_path)
    load = Load(empty_database, receiver)
    async with AsyncExitStack() as daemons:

        async def started(**options: Unpack[StartOptions]) -> Daemon:
            return await daemons.enter_async_context(daemon(empty_database, tmp_path, **options))

        first = await started(port=free_port(), settings=SETTINGS, cwd=old.root)
        async with load.running():
            await load.further(50)
            await migrate_patiently(this_checkout(), empty_database, tmp_path)
            await load.further(50)
            if revision in WITH_LEASES:
                await started(port=free_port(), settings=SETTINGS)
                await load.further(50)
            in_flight = load.recent()
            code = await first.stop()
            if revision in WITHOUT_LEASES:
                await started(port=free_port(), settings=SETTINGS)
            await load.further(50)
        await load.finished()

    assert code == 0
    assert await load.stored("success") == Counter(load.expected())
    # Older daemons drop results that cannot be stored at once when they stop.
    failed = (await load.stored("failed")).total()
    assert load.failed.total() - in_flight <= failed <= load.failed.total()
    assert load.repeated() <= in_flight
