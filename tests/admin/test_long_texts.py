"""Every text in a request is validated in proportion to its length, up to that of a whole body."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from daemon.admin import schemas
from daemon.admin.api.validation import body_problem
from tests.support.api_client import ApiClient
from tests.support.hang import at_most_cpu_seconds
from tests.support.long_texts import LONGEST_BODY, long_texts

URL = "https://example.com/"
Filling = Callable[[str], dict[str, Any]]
CREATED: dict[str, Filling] = {
    "name": lambda text: {"name": text},
    "URL": lambda text: {"endpointUrl": text},
    "description": lambda text: {"description": text},
    "event type": lambda text: {"eventTypes": [text]},
    "filter's type": lambda text: {"eventFilters": {"event_types": [text]}},
    "filter's id": lambda text: {"eventFilters": {"campaign_ids": [text]}},
    "filter's path": lambda text: {"eventFilters": {"filters": {text: "x"}}},
    "filter's value": lambda text: {"eventFilters": {"filters": {"x": text}}},
    "header's name": lambda text: {"customHeaders": {text: "x"}},
    "header's value": lambda text: {"customHeaders": {"X-A": text}},
    "certificate": lambda text: {"clientCertificate": {"certificate": text, "key": "x"}},
    "key": lambda text: {"clientCertificate": {"certificate": "x", "key": text}},
    "email address": lambda text: {"notificationEmail": text},
    "unknown member": lambda text: {text: "x"},
}
OTHERS: list[tuple[type[BaseModel], str]] = [
    *((schemas.TestEventRequest, name) for name in ("eventType", "campaignId", "contactId")),
    *((schemas.CreateReplayRequest, name) for name in ("webhookId", "from", "to")),
    *((schemas.CreateTenantTokenRequest, name) for name in ("tenantId", "expiresIn", "scope")),
    *((schemas.DeliveriesQuery, name) for name in ("status", "eventType", "before", "from", "to")),
    (schemas.RotateSecretRequest, "overlap"),
]


def bodies(text: str) -> Iterator[tuple[type[BaseModel], dict[str, Any]]]:
    for filling in CREATED.values():
        yield schemas.CreateWebhookRequest, {"name": "x", "endpointUrl": URL, **filling(text)}
    for model, name in OTHERS:
        yield model, {name: text}


def validate(model: type[BaseModel], body: dict[str, Any]) -> None:
    try:
        model.model_validate(body)
    except ValidationError as invalid:
        body_problem(invalid, model, body)


@pytest.mark.parametrize("end", ["", "<", "!\x00"], ids=ascii)
@pytest.mark.parametrize("start", ["", "a"])
def test_a_long_text_in_any_member_is_validated_at_once(start: str, end: str) -> None:
    texts = long_texts(starts=(start,), ends=(end,))

    with at_most_cpu_seconds(30):  # for hundreds of texts; a quadratic one takes minutes alone
        for text in texts.values():
            for model, body in bodies(text):
                validate(model, body)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("member", ["name", "description", "email address", "header's value"])
async def test_a_text_as_long_as_the_body_is_refused(shared_api: ApiClient, member: str) -> None:
    text = f"a{' ' * (LONGEST_BODY - 200)}<"
    body = {"name": "x", "endpointUrl": URL, **CREATED[member](text)}

    with at_most_cpu_seconds(20):
        answer = await shared_api.post("/api/webhooks", body)

    assert answer.status == 422
    assert "long" in answer.error


@pytest.mark.asyncio(loop_scope="module")
async def test_the_longest_address_is_stored_and_a_longer_one_is_refused(
    shared_api: ApiClient,
) -> None:
    address = f"{'o' * 64}@{'e' * 61}.{'e' * 63}.{'e' * 63}"
    longest = f"{'N' * (320 - 254 - 3)} <{address}>"
    webhook = await shared_api.create_webhook("http://127.0.0.1:9/")
    path = f"/api/webhooks/{webhook['id']}"

    refused = await shared_api.patch(path, {"notificationEmail": f"N{longest}"})
    asked = await shared_api.patch(path, {"notificationEmail": longest})

    assert (refused.status, refused.pointers) == (422, ["#/notificationEmail"])
    assert "is too long" in refused.error
    assert "is not one of notifications.allowed_recipients" in asked.error  # so it is an address
