"""Invalid values in requests and the problems that answer them; all tests share one daemon."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.support.api_client import Answer, ApiClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "http://127.0.0.1:9/hook"


INVALID: dict[str, tuple[dict[str, Any], str, str]] = {
    "no name": ({"endpointUrl": URL}, "#/name", "is missing"),
    "a header that looks sealed": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"X": "sealed:1:c4n4ry:AAAA"}},
        "#/customHeaders",
        "begins with sealed:, which marks sealed secrets",
    ),
    "no URL": ({"name": "x"}, "#/endpointUrl", "is missing"),
    "an empty name": ({"name": "", "endpointUrl": URL}, "#/name", "the minimum length is 1"),
    "a long name": ({"name": "x" * 256, "endpointUrl": URL}, "#/name", "the maximum length is 255"),
    "an unknown member": (
        {"name": "x", "endpointUrl": URL, "url": URL},
        "#/url",
        "is not a known member",
    ),
    "a member in snake case": (
        {"name": "x", "endpoint_url": URL},
        "#/endpoint_url",
        "endpoint_url: is not a known member; did you mean endpointUrl?",
    ),
    "a filter member in camel case": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"campaignIds": ["a"]}},
        "#/eventFilters/campaignIds",
        "did you mean campaign_ids?",
    ),
    "a secret of its own": (
        {"name": "x", "endpointUrl": URL, "secretKey": "whsec_x"},
        "#/secretKey",
        "is not a known member",
    ),
    "a URL in a private network": (
        {"name": "x", "endpointUrl": "http://169.254.169.254/latest"},
        "#/endpointUrl",
        "the host's address is not public",
    ),
    "a URL of a name that is not public": (
        {"name": "x", "endpointUrl": "http://db.corp.:8080/"},
        "#/endpointUrl",
        "the host's name is not public",
    ),
    "a URL with a fragment": (
        {"name": "x", "endpointUrl": f"{URL}#part"},
        "#/endpointUrl",
        "must not contain a fragment",
    ),
    "a URL of another scheme": (
        {"name": "x", "endpointUrl": "gopher://127.0.0.1/"},
        "#/endpointUrl",
        "not of the form https://host/path",
    ),
    "a number for a name": ({"name": 5, "endpointUrl": URL}, "#/name", "must be a string"),
    "an invalid event type": (
        {"name": "x", "endpointUrl": URL, "eventTypes": ["email.opened", "e mail"]},
        "#/eventTypes/1",
        "is neither an event type",
    ),
    "a wildcard at the start": (
        {"name": "x", "endpointUrl": URL, "eventTypes": ["*.opened"]},
        "#/eventTypes/0",
        "is neither an event type",
    ),
    "a filter that is not an object": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": 5}},
        "#/eventFilters/filters",
        "must be an object",
    ),
    "an object as a filter value": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": {"a": {"b": 1}}}},
        "#/eventFilters/filters/a",
        "must be a string, a number, true, false, null, or a list of these",
    ),
    "an empty list of values": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": {"a": []}}},
        "#/eventFilters/filters/a",
        "must have from 1 to 1000 values",
    ),
    "a boolean as an id": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"workspaces": ["a", True]}},
        "#/eventFilters/workspaces/1",
        "must be a string or a number",
    ),
    "a path of too many segments": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": {".".join("a" * 17): 1}}},
        "#/eventFilters/filters/" + ".".join("a" * 17),
        "more than 16 segments",
    ),
    "too many values in all": (
        {
            "name": "x",
            "endpointUrl": URL,
            "eventFilters": {"filters": {str(n): list(range(20)) for n in range(51)}},
        },
        "#/eventFilters",
        "at most 1000 values in all",
    ),
    "a filter that is longer as PostgreSQL prints it": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": {"a": [1e-300] * 60}}},
        "#/eventFilters",
        "at most 16384 characters of JSON",
    ),
    "a reserved header": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"Host": "inside"}},
        "#/customHeaders",
        "the header Host is reserved",
    ),
    "a header with an underscore": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"X_Key": "k"}},
        "#/customHeaders",
        "the name of the header X_Key has an underscore, which servers read as a hyphen",
    ),
    "a hop-by-hop header": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"keep-alive": "timeout=5"}},
        "#/customHeaders",
        "the header keep-alive is reserved",
    ),
    "a header value with a right-to-left override": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"X": "a\u202eb"}},
        "#/customHeaders",
        "the value of the header X is not printable",
    ),
    "a header value with a line break": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"X": "a\r\nY: b"}},
        "#/customHeaders",
        "the value of the header X is not printable",
    ),
    "an unreadable certificate": (
        {
            "name": "x",
            "endpointUrl": URL,
            "clientCertificate": {"certificate": "x", "key": "c4n4ry"},
        },
        "#/clientCertificate",
        "cannot be used",
    ),
    "an invalid mail address": (
        {"name": "x", "endpointUrl": URL, "notificationEmail": "a@b\nBcc: c@d"},
        "#/notificationEmail",
        "is not an email address",
    ),
    "a mail address that no server accepts": (
        {"name": "x", "endpointUrl": URL, "notificationEmail": "ops@-example.com"},
        "#/notificationEmail",
        "is not an email address",
    ),
}


@pytest.mark.parametrize(("body", "pointer", "detail"), INVALID.values(), ids=INVALID)
async def test_no_webhook_is_created_with(
    shared_api: ApiClient, body: dict[str, Any], pointer: str, detail: str
) -> None:
    before = await shared_api.get("/api/webhooks", limit=200)

    answer = await shared_api.post("/api/webhooks", body)

    after = await shared_api.get("/api/webhooks", limit=200)

    assert answer.status == 422
    assert pointer in answer.pointers
    assert detail in answer.text
    assert "c4n4ry" not in answer.text
    assert after.json == before.json


HUGE_BODIES: dict[str, dict[str, Any]] = {
    "members": {f"m{n}": 1 for n in range(80_000)},
    "members of a filter": {"eventFilters": {f"m{n}": 1 for n in range(70_000)}},
    "types": {"eventTypes": [""] * 300_000},
    "types in a filter": {"eventFilters": {"event_types": [1] * 300_000}},
    "ids": {"eventFilters": {"workspaces": [[0]] * 250_000}},
    "values": {"eventFilters": {"filters": {"a": [[1]] * 200_000}}},
    "paths": {"eventFilters": {"filters": {f"a..{n}": [] for n in range(70_000)}}},
    "headers": {"customHeaders": {f"h{n}": 1 for n in range(70_000)}},
    "characters of a name": {"x" * 900_000: 1},
    "characters of a path": {"eventFilters": {"filters": {"x." * 400_000: 1}}},
}


@pytest.mark.parametrize("members", HUGE_BODIES.values(), ids=HUGE_BODIES)
async def test_a_problem_lists_at_most_20_errors_of(
    shared_api: ApiClient, members: dict[str, Any]
) -> None:
    answer = await shared_api.post("/api/webhooks", {"name": "x", "endpointUrl": URL, **members})

    assert answer.status == 422
    assert 1 <= len(answer.pointers) <= 20
    assert len(answer.text) < 4096


async def test_the_largest_accepted_filters_are_usable(shared_api: ApiClient) -> None:
    largest = [
        {"filters": {"a": [2**64 - 1, -(2**63), 0.1, 1e-300, 1.5e19]}},
        {"filters": {"a": [1e-300] * 50}},
        {"filters": {f"p{n}": [*range(10)] for n in range(100)}},
        {"filters": {'ü"\n' * 2700: 1}},
        {"event_types": ["e" * 100] * 100, "workspaces": [*range(1000)]},
    ]

    created = [await shared_api.create_webhook(URL, eventFilters=each) for each in largest]
    again = [
        await shared_api.patch(f"/api/webhooks/{each['id']}", {"name": "y"}) for each in created
    ]

    assert [each.status for each in again] == [200] * len(largest)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": None}, "#/name"),
        ({"name": ""}, "#/name"),
        ({"endpointUrl": None}, "#/endpointUrl"),
        ({"endpointUrl": "http://10.0.0.1/"}, "#/endpointUrl"),
        ({"isActive": None}, "#/isActive"),
        ({"secretKey": "whsec_x"}, "#/secretKey"),
        ({"eventFilters": {"x": 1}}, "#/eventFilters/x"),
        ({"customHeaders": {"Host": "x"}}, "#/customHeaders"),
        ({"customHeaders": {"X-Key": "sealed:1:0123abcd:AAAA"}}, "#/customHeaders"),
    ],
)
async def test_an_invalid_update_is_rejected_and_changes_nothing(
    shared_api: ApiClient, change: dict[str, Any], pointer: str
) -> None:
    created = await shared_api.create_webhook(URL)

    answer = await shared_api.patch(f"/api/webhooks/{created['id']}", change)

    after = await shared_api.get(f"/api/webhooks/{created['id']}")
    assert (answer.status, answer.pointers) == (422, [pointer])
    assert after.json == {name: created[name] for name in after.json}


async def test_an_operation_without_a_body_rejects_one(shared_api: ApiClient) -> None:
    created = await shared_api.create_webhook(URL)
    path = f"/api/webhooks/{created['id']}/pause"

    with_body = await shared_api.post(path, {"reason": "holidays"})
    with_empty_body = await shared_api.post(path, {})

    assert (with_body.status, with_body.error) == (422, "this operation takes no body")
    assert with_empty_body.status == 200


@pytest.mark.parametrize("overlap", ["-1s", "31d", "soon", "", 5, None])
async def test_an_overlap_outside_0s_to_30d_is_rejected(
    shared_api: ApiClient, overlap: object
) -> None:
    created = await shared_api.create_webhook(URL)

    answer = await shared_api.post(
        f"/api/webhooks/{created['id']}/rotate-secret", {"overlap": overlap}
    )

    assert (answer.status, answer.pointers) == (422, ["#/overlap"])


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"limit": 0}, "limit: must be at least 1"),
        ({"limit": 201}, "limit: must be at most 200"),
        ({"limit": "x"}, "limit: must be an integer"),
        ({"after": "x"}, "after: must be a UUID"),
        ({"offset": 1}, "offset: is not a known parameter"),
    ],
)
async def test_an_invalid_query_is_rejected(
    shared_api: ApiClient, query: dict[str, object], error: str
) -> None:
    answer = await shared_api.get("/api/webhooks", **query)

    assert (answer.status, answer.error) == (422, error)
    assert answer.json["errors"][0]["parameter"] == next(iter(query))


@pytest.mark.parametrize("name", ["nothing", str(uuid4()), "x" * 300, "%00"])
async def test_an_unknown_webhook_is_a_404(shared_api: ApiClient, name: str) -> None:
    answer: Answer = await shared_api.get(f"/api/webhooks/{name}")

    assert (answer.status, answer.error) == (404, "this tenant has no webhook with this id")


@pytest.mark.parametrize("member", ["filters", "workspaces"])
@pytest.mark.parametrize("number", [2**63, 2**64, -(2**64), 10**300 + 1])
async def test_a_filter_can_contain_integers_of_any_length(
    shared_api: ApiClient, number: int, member: str
) -> None:
    filters = {"filters": {"a": [number]}} if member == "filters" else {member: [number]}
    body = json.dumps({"name": "x", "endpointUrl": URL, "eventFilters": filters})

    answer = await shared_api.call(
        "POST", "/api/webhooks", data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status == 201, answer
    assert str(number) in answer.text


async def test_a_body_of_very_many_arrays_is_refused_before_it_is_parsed(
    shared_api: ApiClient,
) -> None:
    nested = ",".join(["[" * 900 + "]" * 900] * 500)

    answers = [
        await shared_api.call(
            *("POST", "/api/webhooks"),
            data=f'{{"name": [{nested}{end}',
            headers={"Content-Type": "application/json"},
        )
        for end in ("]}", "")  # which is no JSON
    ]

    error = "the body has too many members or elements"
    assert [(each.status, each.error) for each in answers] == [(422, error)] * 2


async def test_a_description_may_be_brackets_alone(shared_api: ApiClient) -> None:
    body = {"name": "x", "endpointUrl": URL, "description": "[{" * 5000}

    answer = await shared_api.post("/api/webhooks", body)

    assert (answer.status, answer.json["description"]) == (201, "[{" * 5000)
