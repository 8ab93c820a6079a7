"""
Responses of the admin port while the database belongs to another installation.

The rule: nothing is changed in that database, so the API and the console are closed.
"""

from collections.abc import Callable

from aiohttp import web

from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.admin.server.app import make_app
from daemon.admin.server.readiness import Lag, Report
from daemon.runtime.metrics import Metrics


class AwaitingAdoption:
    """The state of a daemon that waits; `reason` returns the sentence to show."""

    alive = True  # for the watchdog

    def __init__(self, reason: Callable[[], str]) -> None:
        self.reason = reason

    def report(self) -> Report:
        """Not ready, with the reason."""
        return Report(
            ready=False,
            checks={"installation": {"ok": False, "error": self.reason()}},
            loops={},
            lag=Lag(fanout=0.0, dispatch=0.0, oldest_due=0.0),
            schema_error=None,
        )


def awaiting_app(awaiting: AwaitingAdoption) -> web.Application:
    """Make an application that serves health and metrics, and 503 to everything else."""
    app = make_app(readiness=awaiting, metrics=Metrics())

    async def refuse(_: web.Request) -> web.Response:
        raise Problem(503, awaiting.reason(), headers=RETRY_SOON)

    app.router.add_route("*", "/{path:.*}", refuse)
    return app
