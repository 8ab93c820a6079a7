"""The events in the OpenAPI and AsyncAPI documents, which validators of other authors accept."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from daemon.admin.api import asyncapi, openapi
from daemon.admin.api.delivery_headers import DELIVERY_HEADERS
from daemon.core.event_schemas import sample_body
from daemon.core.operational_event_types import ALL_TYPES
from tests.admin.test_access import OPERATIONS
from tests.conftest import ORIGINAL_ENVIRONMENT
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.commandline import ROOT
from tests.support.daemons import until
from tests.support.javascript import NODE
from tests.support.receiver import Receiver

VALIDATORS = ROOT / "tests" / "validators"
NAMES = [each.name for each in ALL_TYPES]


def test_the_openapi_document_has_each_type_as_a_webhook_without_authentication() -> None:
    document = openapi.document(OPERATIONS)

    requests = {name: each["post"] for name, each in document["webhooks"].items()}
    assert list(requests) == NAMES
    assert {str(each["security"]) for each in requests.values()} == {"[]"}
    examples = [
        each["requestBody"]["content"]["application/json"]["example"] for each in requests.values()
    ]
    assert examples == [sample_body(each) for each in ALL_TYPES]


async def test_the_asyncapi_document_is_served_without_a_token_and_has_each_type(
    app: Application, database: str
) -> None:
    async with serving_api(database, await app.tenant()) as operator:
        response = await operator.with_headers(Authorization=None).get("/asyncapi.json")

    assert response.status == 200
    assert response.json["asyncapi"] == "3.0.0"
    assert list(response.json["channels"]["webhook"]["messages"]) == NAMES
    assert list(response.json["components"]["messages"]) == NAMES


async def test_a_delivery_has_the_headers_that_the_documents_describe(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant):
        await app.webhook(tenant, receiver.url)
        await app.event(tenant)
        await until(lambda: receiver.received)

    [request] = receiver.received
    sent = {name for name in request.headers if name.startswith(("x-penguinmails-", "webhook-"))}
    described = {name.lower() for name in DELIVERY_HEADERS}
    assert sent == described - {"x-penguinmails-signature-previous"}


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_validators_of_openapi_and_asyncapi_find_nothing(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine")
    folder = tmp_path / "validators"
    shutil.copytree(VALIDATORS, folder, ignore=shutil.ignore_patterns("node_modules"))
    environment = ORIGINAL_ENVIRONMENT | {"NODE_USE_SYSTEM_CA": "1"}
    install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(install, cwd=folder, env=environment, check=True)

    def report(script: str, document: dict[str, Any]) -> Any:
        given = json.dumps(document).encode()
        command = [str(NODE), script]
        done = subprocess.run(command, cwd=folder, input=given, check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    broken = asyncapi.document("1.0") | {"channels": 1}
    assert report("asyncapi.mjs", broken)["wrong"] != []
    assert report("asyncapi.mjs", asyncapi.document("1.0")) == {"wrong": [], "messages": NAMES}
    assert report("openapi.mjs", openapi.document(OPERATIONS)) == {"wrong": []}
