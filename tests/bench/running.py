"""Running the workloads: the subjects of a group take turns in each round."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby
from pathlib import Path

from tests.bench import machine
from tests.bench.bench import Bench, Figures
from tests.bench.derived import RATE, derive
from tests.bench.receiver import receiving
from tests.bench.report import Report
from tests.bench.results import Results
from tests.bench.servers import Databases, running_server, system_binaries
from tests.bench.sizes import Sizes
from tests.bench.variants import Variant
from tests.bench.workloads import WORKLOADS, Step

STEP_SECONDS = 900.0
SHOWN = ("rate", "cpu_us", "p50_ms", "p99_ms", "statements", "statements_s")


async def measure(
    names: Sequence[str],
    variants: Sequence[Variant],
    sizes: Sizes,
    folder: Path,
    *,
    other: str | None,
    show: Callable[[str], None],
) -> Report:
    """
    Run the workloads of these names; `other` is the variant that the first is compared with.

    `show` gets a line about each step. If the run is cancelled, the report has what was measured
    until then.
    """
    results = Results()
    async with _bench(names, sizes, folder) as bench:
        servers = [bench.databases.server, *([bench.system.server] if bench.system else [])]
        described = machine.description(servers, variants, sizes, folder)
        try:
            await _run(names, variants, bench, results, show)
        except asyncio.CancelledError:
            bench.problems.append("interrupted")
        derive(results)
        return Report(
            described,
            results,
            variants[0].name,
            other,
            statements=bench.statements,
            problems=bench.problems,
        )


async def _run(
    names: Sequence[str],
    variants: Sequence[Variant],
    bench: Bench,
    results: Results,
    show: Callable[[str], None],
) -> None:
    for _, group in groupby(names, key=lambda name: WORKLOADS[name].group):
        steps = [step for name in group for step in WORKLOADS[name].steps(name, bench, variants)]
        for number in range(1, bench.sizes.rounds + 1):
            # Every other round in the opposite order, so that nobody always comes first.
            for step in steps if number % 2 else reversed(steps):
                if number == 1 or not step.once:
                    began, known = time.monotonic(), len(bench.problems)
                    figures = await _figures(bench, step)
                    results.add(step.workload, step.subject, figures)
                    took = f"{time.monotonic() - began:.0f} s"
                    show(
                        f"round {number}/{bench.sizes.rounds} {step.workload:<16}"
                        f"{step.subject:<16}{took:>6}  {_shown(figures)}"
                    )
                    for problem in bench.problems[known:]:
                        show(f"PROBLEM: {problem}")


async def _figures(bench: Bench, step: Step) -> Figures:
    """Run a step; one that fails is a problem, and does not keep the others from running."""
    bench.step = f"{step.workload}, {step.subject}"
    gc.collect()
    gc.disable()
    try:
        async with asyncio.timeout(STEP_SECONDS):
            return await step.run()
    except Exception as error:  # noqa: BLE001  the other steps are to run all the same
        bench.problems.append(f"{bench.step}: {type(error).__name__}: {error}")
        return {}
    finally:
        gc.enable()


def _shown(figures: Figures) -> str:
    return "  ".join(f"{name} {figures[name]:,.3g}" for name in SHOWN if name in figures)


@asynccontextmanager
async def _bench(names: Sequence[str], sizes: Sizes, folder: Path) -> AsyncIterator[Bench]:
    """Start what the workloads share."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        server = await stack.enter_async_context(running_server(folder / "postgres"))
        system = None
        binaries = system_binaries()
        if RATE in names and binaries is not None:
            other = await stack.enter_async_context(
                running_server(folder / "postgres-system", binaries)
            )
            if other.name != server.name:
                system = Databases(other, folder)
        yield Bench(sizes, receiver, folder, Databases(server, folder), system, stack)
