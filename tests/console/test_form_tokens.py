"""Forms that act once: sent twice at the same time, again later, and to two daemons."""

import asyncio
import re

from tests.support.api_client import OPERATOR
from tests.support.console import Console, ConsoleClient, Found
from tests.support.daemons import serving
from tests.support.html_forms import form_of

NEW = {"name": "CRM", "endpointUrl": "https://hooks.example.com/crm", "allTypes": "on"}
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{20,}")


def secret_in(page: Found) -> str | None:
    found = SECRET.search(page.text)
    return found and found[0]


async def new_form(console: Console, client: ConsoleClient) -> dict[str, str]:
    page = await client.get(console.path("/webhooks/new"))
    return form_of(page.text, "/webhooks/new") | NEW


async def webhooks_of(console: Console) -> int:
    return len((await console.api.get("/api/webhooks")).json["webhooks"])


async def test_a_form_that_is_sent_twice_at_once_to_two_daemons_creates_one_webhook(
    database: str, console: Console
) -> None:
    path = console.path("/webhooks/new")
    async with (
        serving(database, admin={"tokens": [OPERATOR]}) as second,
        console.operator() as client,
    ):
        form = await new_form(console, client)
        elsewhere = f"http://127.0.0.1:{second.port}{path}"

        answers = await asyncio.gather(client.post(path, form), client.post(elsewhere, form))

        assert [each.status for each in answers] == [303, 303]
        assert answers[0].location == answers[1].location
        assert await webhooks_of(console) == 1
        changed = await client.post(path, form | {"name": "Another"})
        assert changed.status == 303
        assert await webhooks_of(console) == 2


async def test_a_secret_is_shown_once_to_the_session_that_made_it(console: Console) -> None:
    path = console.path("/webhooks/new")
    async with console.operator() as client, console.operator() as stranger:
        form = await new_form(console, client)
        created = await client.post(path, form)

        seen = [await each.get(created.location) for each in (stranger, client, client)]

        assert [secret_in(each) is not None for each in seen] == [False, True, False]
        assert "shown once" in seen[2].text
        repeated = await client.post(path, form)
        assert repeated.location == created.location
        assert secret_in(repeated) is None
        kept = await console.app.db.fetch("SELECT answer FROM webhook_idempotency_keys")
        assert all(each["answer"].startswith("sealed:") for each in kept)
        settings = created.location.replace("/secret", "/settings").partition("?")[0]
        rotate = form_of((await client.get(settings)).text, "/rotate")
        rotated = await client.post(settings.replace("/settings", "/rotate"), rotate)
        shown = await client.get(rotated.location)
        assert secret_in(shown) not in (None, secret_in(seen[1]))
        assert "The secret is rotated." in shown.shown


async def test_a_form_without_its_token_is_refused_and_one_with_errors_is_sent_again(
    console: Console,
) -> None:
    path = console.path("/webhooks/new")
    async with console.operator() as client:
        form = await new_form(console, client)

        bare = await client.post(path, {n: v for n, v in form.items() if n != "once"})
        wrong = await client.post(path, form | {"endpointUrl": "ftp://x"})
        right = await client.post(
            path, form_of(wrong.text, "/webhooks/new") | {"endpointUrl": NEW["endpointUrl"]}
        )

        assert [each.status for each in (bare, wrong, right)] == [422, 422, 303]
        assert await webhooks_of(console) == 1
