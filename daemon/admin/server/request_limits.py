"""The middleware that begins API requests in turn, and measures the loop's time that they take."""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from functools import partial
from typing import NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.api.known_caller import known_caller
from daemon.admin.api.loop_time import END_TURN, OWN_TIME, OwnTime
from daemon.admin.api.peer import client_network
from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.admin.server.health_routes import PUBLIC_PATHS
from daemon.admin.server.request_turns import RequestTurns, TooManyRequestsError
from daemon.admin.server.unread_responses import (
    RESPONSE_OWNER,
    SMALL_BYTES,
    UNREAD_RESPONSES,
    UnreadResponses,
    bytes_of,
)
from daemon.runtime.loop_share import LoopShare
from daemon.store.database import CONNECTION_OWNER

REFUSAL_SECONDS = 1.0  # until a request is refused
# A request that has its turn waits so long for room for its response.
ROOM_SECONDS = 10.0
# A large response that is being sent keeps its caller's turn for so long, or until it is read.
SENDING_SECONDS = 2.0
TOO_MANY_WAIT = "too many of your requests are waiting: send fewer at once"
TOO_MUCH_UNREAD = "too many of your responses are not read: read each to its end, or close it"


def limit_load(proxies: TrustedProxies, *, on_refused: Callable[[], None]) -> Middleware:
    """
    Make the middleware.

    `on_refused` is called for each request that is answered with 429. Requests without a genuine
    token or session count against their client's address.
    """
    load = _Load(on_refused)

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PUBLIC_PATHS:
            return await handler(request)
        caller = known_caller(request) or client_network(request, proxies)
        request[RESPONSE_OWNER] = caller
        await load.begin(caller)
        own_time = request[OWN_TIME] = load.own_time(caller)
        with ExitStack() as turn:
            turn.callback(load.turns.end, caller)
            request[END_TURN] = partial(turn.close)
            await load.wait_for_room(request.app[UNREAD_RESPONSES], caller)
            CONNECTION_OWNER.set(caller)
            response = await own_time.measured(handler(request))
            if bytes_of(response) > SMALL_BYTES:
                request[END_TURN] = _kept(turn)
            return response

    return limit


class _Load:
    """What the requests of all callers take of the loop's time and of memory."""

    def __init__(self, on_refused: Callable[[], None]) -> None:
        self.turns, self._share = RequestTurns(), LoopShare()
        self._on_refused = on_refused

    async def begin(self, caller: Hashable) -> None:
        """Wait until a request may begin. Raises Problem (429)."""
        try:
            await self.turns.begin(caller)
        except TooManyRequestsError:
            await self._refuse(TOO_MANY_WAIT)

    async def wait_for_room(self, unread: UnreadResponses, caller: Hashable) -> None:
        """Wait until there is room for the response. Raises Problem (429)."""
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                await unread.room(caller)
        except TimeoutError:
            await self._refuse(TOO_MUCH_UNREAD)

    def own_time(self, caller: Hashable) -> OwnTime:
        """What counts the time of a request."""

        def spend(seconds: float) -> None:
            self.turns.spend(caller, seconds)
            self._share.spend(caller, seconds)

        return OwnTime(spend, partial(self._share.turn, caller))

    async def _refuse(self, sentence: str) -> NoReturn:
        self._on_refused()
        # A client that repeats the request at once would otherwise keep the loop busy.
        await asyncio.sleep(REFUSAL_SECONDS)
        raise Problem(429, sentence, headers=RETRY_SOON) from None


def _kept(turn: ExitStack) -> "partial[None]":
    """Keep the turn while the response is sent; returns what ends it then."""
    kept = turn.pop_all()
    timer = asyncio.get_running_loop().call_later(SENDING_SECONDS, kept.close)
    kept.callback(timer.cancel)
    return partial(kept.close)
