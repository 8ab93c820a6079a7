"""Tracebacks contain no secrets."""

import io

import asyncpg
import pytest

from tests.logs.rendering import CANARY, Render, logger_to, login
from tests.support.application import Application


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_contains_neither_local_variables_nor_passwords(form: str) -> None:
    stream = io.StringIO()
    log = logger_to(stream, form)
    try:
        login(CANARY)
    except ConnectionError as error:
        log.exception("test.failed")
        log.warning("test.failed", exc_info=error)

    written = stream.getvalue()
    assert written.count("Traceback (most recent call last)") == 2
    assert written.count("ConnectionError: cannot log in to postgresql://h/d") == 2
    assert CANARY not in written


def test_a_long_traceback_is_not_cut_inside_a_password(render: Render) -> None:
    behind = f"{CANARY}@h/d "
    padding = "x" * (20_000 - len(behind))

    fields = render(exc_info=ValueError(f"postgresql://u:{behind}{padding}"))

    assert len(str(fields["exception"])) == 20_000
    assert CANARY not in str(fields["exception"])


def test_an_exc_info_without_an_exception_adds_nothing(render: Render) -> None:
    fields = render(exc_info=True)

    assert "exception" not in fields
    assert "exc_info" not in fields


@pytest.mark.parametrize("form", ["json", "console"])
async def test_rows_and_values_that_the_database_quotes_are_not_written(
    form: str, app: Application
) -> None:
    """Neither in the error itself, nor in its cause, nor in a group."""
    stream = io.StringIO()
    log = logger_to(stream, form)
    await app.db.execute("CREATE TABLE kept (secret TEXT UNIQUE CHECK (length(secret) > 9))")
    errors = [
        await database_error(app, "INSERT INTO kept VALUES ($1)", CANARY),
        await database_error(app, "INSERT INTO kept VALUES ($1), ($1)", f"{CANARY}-{CANARY}"),
        await database_error(app, "SELECT $1::int", CANARY),
    ]
    for error in errors:
        log.error("test.failed", exc_info=error, reason=error)
    try:
        try:
            raise errors[0]
        except asyncpg.PostgresError:
            raise ExceptionGroup("several", errors) from errors[1]
    except ExceptionGroup:
        log.exception("test.failed")

    written = stream.getvalue()
    assert CANARY not in written
    assert (
        'violates check constraint "kept_secret_check" (sqlstate 23514, constraint'
        in written.replace("\\", "")
    )
    assert "in database_error" in written


async def database_error(app: Application, query: str, *arguments: object) -> Exception:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as raised:
        await app.db.execute(query, *arguments)
    error: Exception = raised.value
    return error
