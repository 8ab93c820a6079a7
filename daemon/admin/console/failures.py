"""
Pages while the daemon cannot answer: the failure, since when, and the input kept.

The rule: what was typed is never lost. It is in the form that tries again, with the token by
which it acts once.
"""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.admin.console.form_fields import read_form
from daemon.admin.console.page import now
from daemon.admin.console.rendering import Renderer
from daemon.core.errors import DatabaseBusyError, DatabaseUnavailableError, PostponedError

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

AWAY = "The database is away."
BUSY = "Another transaction has locked what this needs."
POSTPONED = "This cannot be done at the moment."
FAILED = "Something went wrong on our side."
# A browser loads a page again that was only looked at.
RELOAD = {"Refresh": "5"}


def showing_failures(handler: Handler, renderer: Renderer) -> Handler:
    """Answer as `handler` does, and with a page where it cannot."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except DatabaseBusyError as error:
            log.warning("console.database_busy", reason=str(error))
            return await _page(request, renderer, BUSY, status=503)
        except DatabaseUnavailableError as error:
            log.warning("console.database_unavailable", reason=str(error))
            return await _page(request, renderer, AWAY, status=503)
        except PostponedError:
            return await _page(request, renderer, POSTPONED, status=503)
        except (web.HTTPException, Problem):
            raise
        except Exception:
            log.exception("console.page_failed")
            return await _page(request, renderer, FAILED, status=500)

    return handle


async def _page(
    request: web.Request, renderer: Renderer, sentence: str, *, status: int
) -> web.Response:
    is_form = request.method == "POST"
    response = await renderer.entrance(
        "failure.html",
        now=now(),
        status=status,
        sentence=sentence,
        fields=await read_form(request) if is_form else {},
        is_form=is_form,
    )
    if status == 503:
        response.headers.update(RETRY_SOON if is_form else RETRY_SOON | RELOAD)
    return response
