"""The API in the HTTP application: its routes, its OpenAPI document and its reference page."""

from collections.abc import Callable, Sequence

from aiohttp import web

from daemon.admin.api.audit import AuditLog
from daemon.admin.api.audit_refusals import record_refusals
from daemon.admin.api.auth import Access
from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.api.failed_logins import limit_failed_logins
from daemon.admin.api.idempotency import Idempotency
from daemon.admin.api.known_caller import FIND_CALLER, FindCaller
from daemon.admin.api.operation import Route
from daemon.admin.api.routing import add_routes
from daemon.admin.server import cors, middlewares
from daemon.admin.server.api_documents import ApiDocuments
from daemon.admin.server.request_limits import limit_load


def add_api(
    app: web.Application,
    routes: Sequence[Route],
    *,
    access: Access,
    find_caller: FindCaller,
    audit_log: AuditLog,
    idempotency: Idempotency,
    proxies: TrustedProxies,
    allowed_origins: Sequence[str],
    on_overload: Callable[[], None],
) -> None:
    """
    Add the API, its OpenAPI document and its reference page.

    `find_caller` returns the caller that the load of a request counts against, None if unknown.
    `on_overload` is called for each request that is refused because too many of its caller wait.
    """
    app.middlewares.append(middlewares.host_check(access))
    app[FIND_CALLER] = find_caller
    app.middlewares.append(limit_load(proxies, on_refused=on_overload))
    app.middlewares.append(cors.allow_origins(app, allowed_origins))
    # Outside of the limit on wrong tokens: its 429 is recorded too.
    app.middlewares.append(record_refusals(audit_log, [each.operation for each in routes]))
    app.middlewares.append(limit_failed_logins(proxies))
    add_routes(app, routes, access=access, audit_log=audit_log, idempotency=idempotency)

    async def close_audit_log(_: web.Application) -> None:
        await audit_log.close()

    app.on_cleanup.append(close_audit_log)
    ApiDocuments([route.operation for route in routes]).add_routes(app)
