"""What all workloads share: the receiver, the servers, the sizes, and what did not add up."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.receiver import Receiver
from tests.bench.servers import Databases, running_server
from tests.bench.sizes import Sizes

Figures = dict[str, float]  # by name; see `measures.MEASURES`


@dataclass(slots=True)
class Bench:
    """
    One run of the benchmarks.

    `system` has the databases of the system's PostgreSQL, if it is measured too; `step` names what
    is being measured. `problems` are counts that do not add up: figures beside them cannot be
    trusted. `statements` are calls for one event, or a second if idle, by step and query; `held`
    are the databases of `old_transaction`, by variant.
    """

    sizes: Sizes
    receiver: Receiver
    folder: Path
    databases: Databases
    system: Databases | None
    stack: AsyncExitStack
    step: str = ""
    problems: list[str] = field(default_factory=list)
    statements: dict[str, dict[str, float]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    _apart: Databases | None = None

    async def databases_apart(self) -> Databases:
        """
        Return databases on a server of their own, which is started when it is first needed.

        A transaction that is left open there holds back nothing of the other measurements.
        """
        if self._apart is None:
            folder = self.folder / "postgres-apart"
            server = await self.stack.enter_async_context(running_server(folder))
            self._apart = Databases(server, self.folder)
        return self._apart

    def check(self, name: str, found: float, expected: float) -> None:
        """Note a problem unless a count is the expected one."""
        if found != expected:
            self.problems.append(f"{self.step}: {name}: {found:,.0f} instead of {expected:,.0f}")
