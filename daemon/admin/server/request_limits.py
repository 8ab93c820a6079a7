"""The middleware that begins API requests in turn, and measures the loop's time that they take."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.api.loop_time import END_TURN, OWN_TIME, OwnTime
from daemon.admin.api.peer import client_network
from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.admin.api.request_body import BODY_OWNER
from daemon.admin.server.health_routes import PUBLIC_PATHS
from daemon.admin.server.request_turns import RequestTurns, TooManyRequestsError
from daemon.runtime.loop_share import LoopShare
from daemon.store.database import CONNECTION_OWNER

REFUSAL_SECONDS = 1.0  # until a request is refused


def limit_load(
    load_key: Callable[[web.Request], str | None],
    proxies: TrustedProxies,
    *,
    on_refused: Callable[[], None],
) -> Middleware:
    """
    Make the middleware; `load_key` is as `Access.load_key`.

    `on_refused` is called for each request that is answered with 429. Requests without a genuine
    token or session count against their client's address.
    """
    turns, share = RequestTurns(), LoopShare()

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PUBLIC_PATHS:
            return await handler(request)
        key = load_key(request)
        if key is not None:
            request[BODY_OWNER] = key
        caller = key or client_network(request, proxies)
        try:
            await turns.begin(caller)
        except TooManyRequestsError:
            on_refused()
            # A client that repeats the request at once would otherwise keep the loop busy.
            await asyncio.sleep(REFUSAL_SECONDS)
            sentence = "too many of your requests are waiting: send fewer at once"
            raise Problem(429, sentence, headers=RETRY_SOON) from None

        def spend(seconds: float) -> None:
            turns.spend(caller, seconds)
            share.spend(caller, seconds)

        own_time = request[OWN_TIME] = OwnTime(spend, partial(share.turn, caller))
        with ExitStack() as turn:
            turn.callback(turns.end, caller)
            request[END_TURN] = partial(turn.close)
            CONNECTION_OWNER.set(caller)
            return await own_time.measured(handler(request))

    return limit
