"""Builds what the admin port serves."""

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.server.app import make_app
from daemon.config import Config
from daemon.store.database import Database
from daemon.wiring.components import Components

OFF_WITHOUT_TOKENS = ("/console{below:(/.*)?}", "/api/{below:.*}")


def admin_app(
    config: Config, database: Database, components: Components, *, audit_database: Database
) -> web.Application:
    """Build what the admin port serves: with API and console once the configuration has tokens."""
    app = make_app(readiness=components.readiness, metrics=components.metrics)
    if config.admin.tokens:
        # Imported here: a third of the start-up time, which a daemon without the API is spared.
        from daemon.wiring.api import ApiParts, add_api_and_console  # noqa: PLC0415

        parts = ApiParts(config, database, audit_database, components)
        add_api_and_console(app, parts)
    else:
        for path in OFF_WITHOUT_TOKENS:
            app.router.add_route("*", path, _is_off)
    return app


async def _is_off(_: web.Request) -> web.StreamResponse:
    """Raises Problem (404), which names the setting that turns the console on."""
    raise Problem(404, "the API and the console are off: admin.tokens is empty")
