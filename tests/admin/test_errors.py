"""The answers to errors that a handler raises."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from daemon.admin.server import middlewares
from daemon.core.errors import DatabaseUnavailableError


async def answer_to(error: Exception) -> tuple[int, str, str | None]:
    """The status, the sentence and Retry-After when a handler raises this error."""

    async def fail(_: web.Request) -> web.StreamResponse:
        raise error

    app = web.Application(middlewares=[middlewares.answer_errors])
    app.router.add_get("/fail/{id}", fail)
    async with (
        TestClient(TestServer(app)) as client,
        client.get("/fail/c4n4ry") as response,
    ):
        problem = await response.json(content_type="application/problem+json")
        return response.status, problem["error"], response.headers.get("Retry-After")


async def test_an_unavailable_database_is_a_503() -> None:
    with capture_logs() as logged:
        answer = await answer_to(DatabaseUnavailableError("no answer in time"))

    assert answer == (503, "the database is unavailable: try again in a few seconds", "5")
    assert [(each["event"], each["reason"]) for each in logged] == [
        ("request.database_unavailable", "no answer in time")
    ]


@pytest.mark.parametrize("error", [OSError(28, "c4n4ry"), TimeoutError("c4n4ry"), KeyError("c")])
async def test_any_other_error_is_internal_and_logged_with_its_traceback(error: Exception) -> None:
    with capture_logs() as logged:
        answer = await answer_to(error)

    assert answer == (500, "internal error: see the daemon's log", None)
    assert [(each["event"], each["route"]) for each in logged] == [("request.failed", "/fail/{id}")]
    assert logged[0]["exc_info"]
