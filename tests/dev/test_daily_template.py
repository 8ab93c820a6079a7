"""The suite may run across midnight: its databases have the partitions of their own day."""

from datetime import date

import asyncpg

from tests.support.postgres import ClonedDatabases, DailyTemplate, run_in_new_loop


class Calendar:
    """A day that advances by hand."""

    def __init__(self) -> None:
        self.day = date(2026, 11, 30)


async def note_day(url: str, day: date) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE TABLE day_{day:%Y%m%d} ()")
    await connection.close()


async def read_days(url: str, found: list[str]) -> None:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'day_%'")
    await connection.close()
    found += [row["relname"] for row in rows]


def test_after_midnight_a_clone_is_one_of_the_new_day(postgres_url: str) -> None:
    calendar = Calendar()
    template = DailyTemplate(
        postgres_url,
        lambda url: run_in_new_loop(note_day(url, calendar.day)),
        today=lambda: calendar.day,
    )
    databases = ClonedDatabases(template)

    found: list[str] = []
    for day in (30, 1):
        calendar.day = date(2026, 11 + (day == 1), day)
        for _ in range(2):
            with databases.database() as url:
                run_in_new_loop(read_days(url, found))
    databases.close()
    template.close()

    assert found == ["day_20261130", "day_20261130", "day_20261201", "day_20261201"]
