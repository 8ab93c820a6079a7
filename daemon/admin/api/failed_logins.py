"""
The limit on wrong tokens: so many per minute from one client, then 429.

Right tokens are never refused: no client can lock out the others behind the same address.
"""

import math
import time
from collections.abc import Callable, Hashable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.api.peer import client_network
from daemon.admin.api.problems import Problem

MAX_FAILURES = 20  # of one client within the window
WINDOW_SECONDS = 60.0
MAX_CLIENTS = 10_000


class FailedLogins:
    """Counts wrong tokens by client, for at most `max_clients` clients."""

    def __init__(
        self, *, max_clients: int = MAX_CLIENTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_clients = max_clients
        self._clock = clock
        # The end of each window and the failures in it. The first one ends first.
        self._windows: dict[Hashable, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def record(self, client: Hashable) -> float | None:
        """Count a wrong token; return the seconds to wait if it is beyond the limit."""
        now = self._clock()
        self._remove_ended(now)
        ends, failures = self._windows.get(client, (now + WINDOW_SECONDS, 0))
        if failures >= MAX_FAILURES:
            return ends - now
        if client not in self._windows and len(self._windows) >= self._max_clients:
            self._remove_first()
        self._windows[client] = ends, failures + 1
        return None

    def _remove_ended(self, now: float) -> None:
        while self._windows and next(iter(self._windows.values()))[0] <= now:
            self._remove_first()

    def _remove_first(self) -> None:
        del self._windows[next(iter(self._windows))]


def limit_failed_logins(proxies: TrustedProxies) -> Middleware:
    """Make the middleware that answers 429 to a wrong token when its client sent too many."""
    failures = FailedLogins()

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            # A request without a token is no attempt to guess one.
            if problem.status == 401 and "Authorization" in request.headers:
                _count(failures, request, proxies)
            raise

    return limit


def _count(failures: FailedLogins, request: web.Request, proxies: TrustedProxies) -> None:
    """Raises Problem (429) when the client has sent too many wrong tokens."""
    wait = failures.record(client_network(request, proxies))
    if wait is None:
        return
    raise Problem(
        429,
        "too many wrong tokens from your address: try again later",
        headers={"Retry-After": str(math.ceil(wait))},
    )
