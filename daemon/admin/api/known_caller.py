"""
Whom a request counts against: the tenant, or the operator, of its genuine token or session.

Nothing is asked of the database, so that a request can be judged before any work is done for it.
"""

from collections.abc import Callable

from aiohttp import web

FindCaller = Callable[[web.Request], str | None]

# As `Access.load_key`; an application without the API knows nobody.
FIND_CALLER: web.AppKey[FindCaller] = web.AppKey("find_caller")
_CALLER: web.RequestKey[str | None] = web.RequestKey("known_caller")


def known_caller(request: web.Request) -> str | None:
    """The caller; None for a request without a genuine token or session."""
    if _CALLER not in request:
        find = request.app.get(FIND_CALLER)
        request[_CALLER] = None if find is None else find(request)
    return request[_CALLER]
