"""The warnings of a webhook name unknown event types, in time that its row cannot make long."""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest

from daemon.admin.views.webhooks import webhook_response, webhooks_response
from daemon.core.matching.type_names import reason_against
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.core.policy.mail_recipients import AllowedRecipients
from daemon.secrets.encryption import Vault
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import SECRET, Application
from tests.support.daemons import until
from tests.support.receiver import Receiver

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

    shown = await webhooks_response(page, VAULT, ALLOWED, schedules=())

    assert time.thread_time() - began < 3  # seconds; it took 20, and takes 0.1
    # One for each name, and that the two lists have none in common.
    assert {len(each.warnings) for each in shown.webhooks} == {201}


def test_rows_that_the_application_wrote_are_named_as_far_as_they_may_be_used() -> None:
    names = ["x" * 5000, *misspelt(5000, webhook=1)]
    began = time.thread_time()

    shown = webhook_response(entry(names * 2, in_filters=names * 2), VAULT, ALLOWED, schedules=())

    assert time.thread_time() - began < 1
    assert len(shown.warnings) == 101
    assert shown.warnings[0].startswith("matches nothing: event_types: at most 100 entries")
    assert shown.warnings[1] == f"eventTypes: {'x' * 100}… is none of the 13 event types"


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
    nothing, *named = created["warnings"]
    assert nothing.startswith("matches nothing")
    assert named == [*(each + suggestion for each in plain[:3]), plain[3]]
    assert listed.json["webhooks"][0]["warnings"] == [nothing, *plain]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", ["*.opened", "email*", "email.opened ", "", "x" * 101])
async def test_both_lists_of_types_refuse_the_same_names(name: str, shared_api: ApiClient) -> None:
    members: tuple[dict[str, Any], ...] = (
        {"eventTypes": [name]},
        {"eventFilters": {"event_types": [name]}},
    )
    answers = [
        await shared_api.post("/api/webhooks", {"name": "a", "endpointUrl": URL, **each})
        for each in members
    ]

    assert [each.status for each in answers] == [422, 422]
    assert answers[0].json["errors"][0]["detail"] == answers[1].json["errors"][0]["detail"]
    assert answers[1].pointers == ["#/eventFilters/event_types/0"]


async def test_a_webhook_that_nothing_can_match_says_so_and_is_logged_once(
    app: Application,
    database: str,
    receiver: Receiver,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The application wrote the names of one, the owner of the other takes a second step."""
    tenant = await app.tenant()
    await app.webhook(tenant, f"{receiver.url}/well")
    written = await app.webhook(tenant, f"{receiver.url}/a", types=["*.opened", "email.opened "])
    async with serving_api(database, tenant) as api:
        disjoint = await api.create_webhook(
            f"{receiver.url}/b",
            eventTypes=["email.*"],
            eventFilters={"event_types": ["campaign.launched"]},
        )
        for n in range(3):
            await app.event(tenant, {"n": n})
        await until(lambda: len(receiver.at("/well")) == 3)
        listed = {each["id"]: each for each in (await api.get("/api/webhooks")).json["webhooks"]}
        changed = await api.patch(
            f"/api/webhooks/{disjoint['id']}", {"eventTypes": ["campaign.*", "email.*"]}
        )

    assert "no type in common" in disjoint["warnings"][0]
    assert "no type in common" in listed[disjoint["id"]]["warnings"][0]
    assert "no type in common" in listed[disjoint["id"]]["filterError"]
    assert listed[str(written)]["warnings"] == [
        f'eventTypes: "{name}" {reason_against(name)}' for name in ("*.opened", "email.opened ")
    ]
    assert (changed.json["warnings"], changed.json["filterError"]) == ([], None)
    assert len(receiver.received) == 3
    assert "".join(capfd.readouterr()).count("webhook.matches_nothing") == 1
