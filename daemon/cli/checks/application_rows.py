"""Rows that the application wrote wrongly: a warning for each kind, with the first few by id."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from uuid import UUID

from daemon.cli.checks.finding import Finding, warning
from daemon.core.errors import StatementTimeoutError
from daemon.core.model.application_rows import Slip, WrongRow
from daemon.core.model.ids import TenantId
from daemon.store import application_rows, partitioning
from daemon.store.session import Connection

TENANTS_AT_ONCE = 500
MOST_NAMED = 5
MOST_FOUND = 100


async def check_application_rows(db: Connection) -> AsyncIterator[Finding]:
    """The application's mistakes in its rows, as far as they are found within seconds."""
    layout = await partitioning.layout(db)
    found: dict[Slip, list[WrongRow]] = {each: [] for each in Slip}
    searches: tuple[Callable[[], Awaitable[list[WrongRow]]], ...] = (
        partial(application_rows.unknown_statuses, db, layout, whole_table=True, limit=MOST_FOUND),
        partial(application_rows.pending_without_time, db, limit=MOST_FOUND),
        partial(_wrong_events, db),
    )
    for search in searches:
        try:
            async with db.transaction():
                await application_rows.limit_time(db)
                rows = await search()
        except StatementTimeoutError:
            yield warning("rows", "some tables are too large to look for rows written wrongly")
            continue
        for each in rows:
            found[each.slip].append(each)
    for slip, rows in found.items():
        if rows:
            yield warning("rows", _sentence(slip, rows))


async def _wrong_events(db: Connection) -> list[WrongRow]:
    found: list[WrongRow] = []
    after = TenantId(UUID(int=0))
    while tenants := await application_rows.tenants_after(db, after, limit=TENANTS_AT_ONCE):
        found += await application_rows.wrong_events(db, tenants, limit=MOST_NAMED)
        if len(found) > MOST_FOUND:
            break
        after = tenants[-1]
    return found


def _sentence(slip: Slip, rows: list[WrongRow]) -> str:
    named = ", ".join(_named(each) for each in rows[:MOST_NAMED])
    more = " and others" if len(rows) > MOST_NAMED else ""
    return f"{rows[0].table} {named}{more}: {slip.value}"


def _named(row: WrongRow) -> str:
    return str(row.id) if row.detail is None else f"{row.id} ({row.detail!r})"
