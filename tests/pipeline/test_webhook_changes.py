"""A change of a webhook, or a fault in one, takes effect with the next attempt."""

from daemon.core.wire import signing
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply


async def test_a_paused_webhook_is_sent_nothing_until_it_is_resumed(
    app: Application, database: str, receiver: Receiver
) -> None:
    recovered = False
    receiver.answer = lambda it: Reply(200 if recovered or it.path == "/other" else 500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    other = await app.webhook(tenant, receiver.url + "/other")
    async with serving(database, delivery={"retry_schedule": ["100ms"] * 50}):
        await app.event(tenant, {"n": 1})
        await until(lambda: settled(app, webhook, "failed", 1))
        await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)
        recovered = True
        before = len(receiver.at("/"))
        await app.event(tenant, {"n": 2})
        await until(lambda: settled(app, other, "success", 2))
        paused = len(receiver.at("/"))
        await app.db.execute("UPDATE webhooks SET is_active = true WHERE id = $1", webhook)
        await until(lambda: settled(app, webhook, "success", 1))

    assert paused <= before + 1  # the retry may have been under way
    assert {request.event["data"]["n"] for request in receiver.at("/")} == {1}
    assert (await app.health(webhook))["consecutive_failures"] == 0


async def test_a_changed_url_and_secret_take_effect_with_the_next_attempt(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(500 if request.path == "/old" else 200)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/old")
    async with serving(database, delivery={"retry_schedule": ["200ms"] * 5}):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))
        await app.db.execute(
            "UPDATE webhooks SET endpoint_url = $2, secret_key = 'other' WHERE id = $1",
            webhook,
            receiver.url + "/new",
        )
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.at("/new")
    assert request.headers["x-penguinmails-signature"] == signing.sign(request.body, "other")
    assert "webhook-signature" not in request.headers


async def test_both_secrets_sign_during_a_rotation(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url, secret="new")
    await app.db.execute(
        "UPDATE webhooks SET previous_secret_key = 'old',"
        " previous_secret_expires_at = now() + '1 hour' WHERE id = $1",
        webhook,
    )
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.received
    headers = request.headers
    assert headers["x-penguinmails-signature"] == signing.sign(request.body, "new")
    assert headers["x-penguinmails-signature-previous"] == signing.sign(request.body, "old")


async def test_deleting_a_webhook_removes_its_deliveries_even_those_in_flight(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.3)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    other = await app.webhook(tenant, receiver.url + "/other")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: len(receiver.received) == 2)
        await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
        await until(lambda: settled(app, other, "success", 1))

    assert await app.deliveries(webhook) == []


async def test_unusable_webhooks_fail_with_their_reasons_and_others_are_delivered_to(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    bad = {
        "no-url": await app.webhook(tenant, "not a url"),
        "metadata": await app.webhook(tenant, "http://169.254.169.254/latest"),
        "no-secret": await app.webhook(tenant, receiver.url, secret=""),
    }
    misfiltered = await app.webhook(tenant, receiver.url + "/f", filters={"no_such": 1})
    good = await app.webhook(tenant, receiver.url + "/good")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, good, "success", 1))
        for webhook in bad.values():
            await until(lambda webhook=webhook: settled(app, webhook, "failed", 1))

    errors = {name: (await app.deliveries(it))[0]["error_message"] for name, it in bad.items()}
    assert errors == {
        "no-url": "the URL must not contain white space, backslashes or control characters",
        "metadata": "the host's address is not public; use a host on the public internet",
        "no-secret": "the webhook has no secret to sign with",
    }
    assert [request.path for request in receiver.received] == ["/good"]
    assert await app.deliveries(misfiltered) == []
    assert "no_such" in (await app.health(misfiltered))["filter_error"]
