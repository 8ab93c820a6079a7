"""All workloads by name, with the steps of a round of each."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.bench.bench import Bench, Figures
from tests.bench.derived import AIOHTTP, ALONE, PUBLISHER, RATE
from tests.bench.live import live_events
from tests.bench.paced import idle, paced, publisher_alone
from tests.bench.profiled import profiled
from tests.bench.scenes import SCENES
from tests.bench.throughput import (
    BURSTS,
    FAN_OUT,
    LARGE,
    PLAIN,
    TLS,
    Shape,
    bare,
    delivered,
    publishers_share,
    statements,
)
from tests.bench.variants import Variant

SENDER = "sender"


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement of a round; with `once`, of the first round only."""

    workload: str
    subject: str
    run: Callable[[], Awaitable[Figures]]
    once: bool = False


Steps = Callable[[str, Bench, Sequence[Variant]], Iterator[Step]]


@dataclass(frozen=True, slots=True)
class Workload:
    """
    What is measured under one name.

    `group`: the workloads of a group take turns in each round. `needs` names the one that this one
    is compared with, which is then measured too.
    """

    group: str
    description: str
    steps: Steps
    needs: tuple[str, ...] = field(default=())


def throughput(shape: Shape, *, baselines: bool = False, other_server: bool = False) -> Steps:
    """Return the steps of a shape: baselines, every variant, and what is only counted."""

    def steps(name: str, bench: Bench, variants: Sequence[Variant]) -> Iterator[Step]:
        if baselines:
            for kind in (AIOHTTP, SENDER):
                yield Step(name, kind, partial(bare, bench, kind, tls=shape.tls))
        for variant in variants:
            arguments = (bench, variant, shape, bench.databases)
            yield Step(name, variant.name, partial(publishers_share, *arguments), once=True)
            yield Step(name, variant.name, partial(statements, *arguments), once=True)
            yield Step(name, variant.name, partial(delivered, *arguments))
        if other_server and bench.system is not None:
            subject = bench.system.server.name
            arguments = (bench, variants[0], shape, bench.system)
            yield Step(name, subject, partial(publishers_share, *arguments), once=True)
            yield Step(name, subject, partial(statements, *arguments), once=True)
            yield Step(name, subject, partial(delivered, *arguments))

    return steps


def steady(per_second: int) -> Steps:
    """Return the steps of a steady load: bare loops, the publisher alone, and every variant."""

    def steps(name: str, bench: Bench, variants: Sequence[Variant]) -> Iterator[Step]:
        arguments = (bench, variants[0], per_second, bench.databases)
        for kind in (AIOHTTP, SENDER):
            yield Step(name, kind, partial(bare, bench, kind, per_second=per_second))
        yield Step(name, PUBLISHER, partial(publisher_alone, *arguments))
        for variant in variants:
            yield Step(
                name, variant.name, partial(paced, bench, variant, per_second, bench.databases)
            )

    return steps


def profile(name: str, bench: Bench, variants: Sequence[Variant]) -> Iterator[Step]:
    """Yield the steps of the first workload under the profiler."""
    for variant in variants:
        yield Step(name, variant.name, partial(profiled, bench, variant), once=True)


def nothing_to_do(name: str, bench: Bench, variants: Sequence[Variant]) -> Iterator[Step]:
    """Yield the steps without any load."""
    for variant in variants:
        yield Step(name, variant.name, partial(idle, bench, variant, bench.databases))


def beside(name: str, bench: Bench, variants: Sequence[Variant]) -> Iterator[Step]:
    """Yield the steps of live events beside the scene of this name."""
    for variant in variants:
        yield Step(name, variant.name, partial(live_events, bench, variant, name))


WORKLOADS = {
    RATE: Workload(
        "throughput",
        "events of 400 bytes for 50 endpoints of 50 tenants, the tenants in turn, all at once",
        throughput(PLAIN, baselines=True, other_server=True),
    ),
    "tls": Workload(
        "throughput",
        "the same over kept TLS connections; the bare loops too",
        throughput(TLS, baselines=True),
        needs=(RATE,),
    ),
    "bursts": Workload(
        "throughput",
        "the same, but all events of one tenant are committed before the next one's",
        throughput(BURSTS),
        needs=(RATE,),
    ),
    "fan-out": Workload(
        "throughput",
        "as many deliveries, but ten webhooks of a tenant get each event",
        throughput(FAN_OUT),
        needs=(RATE,),
    ),
    "payload": Workload("throughput", "events of 8 KB that hardly compress", throughput(LARGE)),
    "daemons-2": Workload(
        "throughput",
        "the first workload with two daemons on one database",
        throughput(Shape(daemons=2)),
        needs=(RATE,),
    ),
    "daemons-4": Workload(
        "throughput",
        "the same with four daemons",
        throughput(Shape(daemons=4)),
        needs=(RATE,),
    ),
    "profile": Workload("profile", "the first workload under Python's profiler", profile),
    "paced-50": Workload(
        "steady", "50 events a second for 50 tenants, each in its own transaction", steady(50)
    ),
    "paced-500": Workload("steady", "500 events a second", steady(500)),
    "idle": Workload("steady", "a daemon with 50 webhooks and nothing to do", nothing_to_do),
    ALONE: Workload("live", "100 live events a second for 65 endpoints, nothing else", beside),
    "pending": Workload(
        "live",
        "live events beside 1,000,000 pending deliveries of 10,000 endpoints: 60 % due tomorrow,"
        " 30 % of paused webhooks, 10 % of 100 endpoints that take 4.5 s",
        beside,
        needs=(ALONE,),
    ),
    "hostile": Workload(
        "live",
        "live events of 65 of 100 endpoints: 30 never respond, 4 respond endlessly, one has 100,000"
        " deliveries due",
        beside,
        needs=(ALONE,),
    ),
    "storm": Workload(
        "live",
        "live events while 200,000 retries for 100 endpoints are due at one moment",
        beside,
        needs=(ALONE,),
    ),
    "replay": Workload(
        "live", "live events beside a replay of 100,000 events", beside, needs=(ALONE,)
    ),
    "console": Workload(
        "live",
        "live events while a script opens five of the console's pages a second, of a tenant with"
        " 1,000 webhooks and 1,000,000 deliveries",
        beside,
        needs=(ALONE,),
    ),
    "questions": Workload(
        "live",
        "live events while a program asks the API five questions a second about that tenant:"
        " why not, what is undelivered, what failed, what a filter would match",
        beside,
        needs=(ALONE,),
    ),
    "old-transaction": Workload(
        "live",
        "live events after 200,000 deliveries in a transaction that is still open: what 55 a second"
        " leave behind in an hour",
        beside,
        needs=(ALONE,),
    ),
}
assert SCENES.keys() <= WORKLOADS.keys()


def with_needs(names: Sequence[str]) -> list[str]:
    """Return the workloads of these names, or all, and those that they need, in order."""
    chosen = set(names or WORKLOADS)
    chosen |= {needed for name in chosen for needed in WORKLOADS[name].needs}
    return [name for name in WORKLOADS if name in chosen]
