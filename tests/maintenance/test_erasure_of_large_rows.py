"""Rows of megabytes, of which a page or a step takes too long, are erased in smaller ones."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from daemon.core.errors import StatementTimeoutError
from daemon.store import erasure_deliveries, erasure_events
from tests.support.aged_rows import NOW, count_in, many_deliveries, stored_event
from tests.support.application import Application
from tests.support.erasure import about, counted, erased

Statement: TypeAlias = Callable[..., Awaitable[Any]]
TOO_LONG = "a statement was cancelled for taking too long"
EVENTS, DELIVERIES = 9, 11
AT_ONCE = 2  # rows; a statement for more takes too long


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let statements take too long that read or delete many rows."""
    for module, name, position in (
        (erasure_events, "find", "limit"),
        (erasure_events, "erase", "ids"),
        (erasure_deliveries, "find_of_contact", 2),
        (erasure_deliveries, "erase", "ids"),
    ):
        monkeypatch.setattr(module, name, limited(getattr(module, name), position))


def limited(original: Statement, counted_by: str | int) -> Statement:
    """The statement, which takes too long for more rows than AT_ONCE."""

    async def run(*arguments: Any, **options: Any) -> Any:
        rows = arguments[counted_by] if isinstance(counted_by, int) else options[counted_by]
        refuse(rows if isinstance(rows, int) else len(rows))
        return await original(*arguments, **options)

    return run


def refuse(rows: int) -> None:
    if rows > AT_ONCE:
        raise StatementTimeoutError(TOO_LONG)


@pytest.mark.parametrize("contact", ["cont_1", None])
async def test_they_are_counted_and_erased_like_all_others(
    app: Application, database: str, tenant: UUID, webhook: UUID, contact: str | None
) -> None:
    data = about({"id": "cont_1"})
    for _ in range(EVENTS):
        await stored_event(app, tenant, data=data, at=NOW)
    await many_deliveries(app, webhook, DELIVERIES)
    await app.db.execute("UPDATE webhook_deliveries SET payload = $1", data)

    before = await counted(database, tenant, contact)
    counts = await erased(database, tenant, contact)

    assert (before.events, before.deliveries) == (EVENTS, DELIVERIES)
    assert (counts.events, counts.deliveries) == (EVENTS, DELIVERIES)
    assert await count_in(app, "webhook_events") == 0
    assert await count_in(app, "webhook_deliveries") == 0


async def test_a_single_row_that_takes_too_long_is_an_error(
    app: Application, database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.AT_ONCE", 0)
    await stored_event(app, tenant, data=about({"id": "cont_1"}), at=NOW)

    with pytest.raises(StatementTimeoutError):
        await erased(database, tenant, "cont_1")
