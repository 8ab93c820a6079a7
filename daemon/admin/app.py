"""The HTTP application: health, readiness and metrics, without authentication."""

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from daemon.admin.readiness import Readiness
from daemon.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(*, readiness: Readiness, metrics: Metrics) -> web.Application:
    """All routes of the contract's section 7 that this version serves."""
    app = web.Application()
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz_with(readiness))
    app.router.add_get("/metrics", _metrics_with(metrics))
    return app


async def serve(app: web.Application, *, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Start listening; returns what to clean up, and the port that was taken. Raises OSError."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]


async def _healthz(_: web.Request) -> web.Response:
    return _json({"status": "alive"})


def _readyz_with(readiness: Readiness) -> Handler:
    async def readyz(_: web.Request) -> web.Response:
        report = readiness.report()
        status = "ready" if report.ready else "unready"
        return _json({"status": status, "checks": report.checks}, 200 if report.ready else 503)

    return readyz


def _metrics_with(metrics: Metrics) -> Handler:
    async def render(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.content_type})

    return render


def _json(data: object, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    body = orjson.dumps(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
