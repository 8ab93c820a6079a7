"""Arrays as text: PostgreSQL reads back what was written."""

from uuid import UUID

from daemon.store.columns import array_text, text_columns
from tests.support.application import Application


async def test_arrays_written_as_text_are_read_as_they_were(app: Application) -> None:
    rows = [(UUID(int=1), 2**63, (4_294_967_295, 65_535)), (UUID(int=2), 7, (0, 1))]
    ids, numbers, places = text_columns(rows)

    read = await app.db.fetch(
        "SELECT * FROM unnest($1::text::uuid[], $2::text::xid8[], $3::text::tid[]) AS r (a, b, c)",
        *(ids, numbers, places),
    )

    assert [(row["a"], int(row["b"]), row["c"]) for row in read] == rows


async def test_an_array_without_elements_is_empty(app: Application) -> None:
    assert await app.db.fetchval("SELECT $1::text::uuid[]", array_text([])) == []
