"""The warnings of a webhook name unknown event types, in time that its row cannot make long."""

import time
from datetime import UTC, datetime
from uuid import uuid4

import orjson

from daemon.admin.views.webhooks import webhook_response, webhooks_response
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.core.policy.mail_recipients import AllowedRecipients
from daemon.secrets.encryption import Vault
from tests.support.api_client import serving_api
from tests.support.application import SECRET, Application

URL = "https://receiver.example.com/"
VAULT, ALLOWED = Vault(), AllowedRecipients(frozenset())


def entry(types: list[str], *, in_filters: list[str]) -> WebhookEntry:
    webhook_id = WebhookId(uuid4())
    filters = orjson.dumps({"event_types": in_filters}).decode()
    return WebhookEntry(
        id=webhook_id,
        tenant_id=TenantId(uuid4()),
        settings=WebhookSettings("a name", None, URL, tuple(types), filters, None),
        secrets=StoredSecrets(webhook_id, SECRET, endpoint_url=URL),
        previous_secret_expires_at=None,
        filter_error=None,
        is_active=True,
        is_failing=False,
        consecutive_failures=0,
        paused_reason=None,
        last_success_at=None,
        last_failure_at=None,
        created_at=datetime(2025, 11, 25, tzinfo=UTC),
    )


def misspelt(count: int, *, webhook: int) -> list[str]:
    """Names of the length that takes longest to compare with the types."""
    return [f"contact.unsubscribbed_{webhook:04}{at:04}.opened" for at in range(count)]


async def test_a_list_of_webhooks_with_the_most_unknown_types_takes_no_time() -> None:
    page = [
        entry(misspelt(100, webhook=at), in_filters=misspelt(100, webhook=200 + at))
        for at in range(200)
    ]
    began = time.thread_time()

    shown = await webhooks_response(page, VAULT, ALLOWED, next_id=None)

    assert time.thread_time() - began < 3  # seconds; it took 20, and takes 0.1
    assert {len(each.warnings) for each in shown.webhooks} == {200}


def test_rows_that_the_application_wrote_are_named_as_far_as_they_may_be_used() -> None:
    names = ["x" * 5000, *misspelt(5000, webhook=1)]
    began = time.thread_time()

    shown = webhook_response(entry(names * 2, in_filters=names * 2), VAULT, ALLOWED)

    assert time.thread_time() - began < 1
    assert len(shown.warnings) == 200
    assert shown.warnings[0] == f"eventTypes: {'x' * 100}… is none of the 13 event types"


async def test_the_first_three_unknown_types_get_a_suggestion(
    app: Application, database: str
) -> None:
    async with serving_api(database, await app.tenant()) as api:
        created = await api.create_webhook(
            URL,
            eventTypes=["email.opend", "email.openned"],
            eventFilters={"event_types": ["email.opned", "email.openedd"]},
        )
        listed = await api.get("/api/webhooks")

    unknown = "is none of the 13 event types"
    plain = [
        f"eventTypes: email.opend {unknown}",
        f"eventTypes: email.openned {unknown}",
        f"eventFilters.event_types: email.opned {unknown}",
        f"eventFilters.event_types: email.openedd {unknown}",
    ]
    suggestion = "; did you mean email.opened?"
    assert created["warnings"] == [*(each + suggestion for each in plain[:3]), plain[3]]
    assert listed.json["webhooks"][0]["warnings"] == plain
