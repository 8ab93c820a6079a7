"""Lists of webhooks across tenants: each statement looks at a bounded number of rows."""

import pytest

from daemon.core.model.webhooks import WebhookState
from daemon.store import webhook_overview
from daemon.store.webhook_overview import LIST_PAGE, LIST_TROUBLED_PAGE, NIL
from tests.support.application import Application
from tests.support.postgres import most_rows_read


@pytest.mark.parametrize("query", [LIST_PAGE, LIST_TROUBLED_PAGE])
async def test_a_page_of_a_search_looks_at_no_more_webhooks_than_fit(
    app: Application, query: str
) -> None:
    for _ in range(30):
        await app.webhook(await app.tenant(), "https://a.example/hook")
    await app.db.execute("UPDATE webhooks SET is_failing = true")
    await app.db.execute("ANALYZE webhooks")

    rows = await most_rows_read(app.db, query, NIL, NIL, None, 5, None, "nowhere")

    assert rows <= 6  # of one tenant more, to know that its webhooks are complete


async def test_what_is_searched_is_found_behind_pages_without_a_match(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(10):
        await app.webhook(await app.tenant(), "https://a.example/hook")
    wanted = {
        await app.webhook(await app.tenant(), "https://b.example/HOOKS/7?x=1") for _ in range(3)
    }
    await app.db.execute("UPDATE webhooks SET is_failing = true WHERE id = ANY ($1)", wanted)
    monkeypatch.setattr(webhook_overview, "PAGE_SIZE", 2)

    by_url = [each.id async for each in webhook_overview.each(app.db, None, search="hooks/7")]
    failing = [
        each.id async for each in webhook_overview.each(app.db, None, state=WebhookState.FAILING)
    ]
    none = [each async for each in webhook_overview.each(app.db, None, search="c.example")]

    assert set(by_url) == set(failing) == wanted
    assert (len(by_url), len(failing), none) == (3, 3, [])
