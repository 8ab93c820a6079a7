"""A client of the HTTP API, like the dashboard or a customer's script."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import orjson

from daemon.service import Service
from tests.support.daemons import Daemon, serving

OPERATOR = "0perator-0perator-0perator"
# A daemon opens as many connections at its start as it may; each costs 8 ms of CPU time until it
# has planned its first statements. The API has connections of its own beside them.
FEW_CONNECTIONS = {"pool_size": 3}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the API."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The parsed body; None for an empty one."""
        return orjson.loads(self.text) if self.text else None

    @property
    def error(self) -> str:
        """The `error` member of a problem document."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        return str(self.json["error"])

    @property
    def pointers(self) -> list[str]:
        """The invalid members of the body, or the names of invalid query parameters."""
        return [each.get("pointer") or each["parameter"] for each in self.json["errors"]]


class ApiClient:
    """A client that sends the same headers with every request."""

    def __init__(self, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        self._session = session
        self.headers = headers

    def url(self, path: str) -> str:
        """The absolute URL of a path."""
        return str(self._session._build_url(path))

    def with_headers(self, **headers: str | None) -> "ApiClient":
        """A client with changed headers: `X_Tenant_ID` sets X-Tenant-ID, None removes a header."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name not in changed}
        return ApiClient(self._session, kept | {n: v for n, v in changed.items() if v is not None})

    def as_tenant(self, tenant: UUID) -> "ApiClient":
        """A client that names this tenant in X-Tenant-ID."""
        return self.with_headers(X_Tenant_ID=str(tenant))

    def with_token(self, token: str) -> "ApiClient":
        """A client with this token and without X-Tenant-ID."""
        return self.with_headers(Authorization=f"Bearer {token}", X_Tenant_ID=None)

    async def call(self, method: str, path: str, json: Any = None, **options: Any) -> Answer:
        """Send a request; `options` are those of aiohttp."""
        if json is not None:
            options["data"] = orjson.dumps(json)
            json_type = {"Content-Type": "application/json"}
            options["headers"] = json_type | options.get("headers", {})
        headers = self.headers | options.pop("headers", {})
        async with self._session.request(method, path, headers=headers, **options) as response:
            return Answer(response.status, dict(response.headers), await response.text())

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.call("GET", path, params={name: str(v) for name, v in query.items()})

    async def post(self, path: str, json: Any = None) -> Answer:
        return await self.call("POST", path, json)

    async def patch(self, path: str, json: Any) -> Answer:
        return await self.call("PATCH", path, json)

    async def delete(self, path: str) -> Answer:
        return await self.call("DELETE", path)

    async def create_webhook(self, url: str, **members: Any) -> Any:
        """Create a webhook and return it as the API shows it."""
        created = await self.post(
            "/api/webhooks", {"name": "a webhook", "endpointUrl": url, **members}
        )
        assert created.status == 201, created
        return created.json


@asynccontextmanager
async def operator_client(service: Service | Daemon, tenant: UUID) -> AsyncIterator[ApiClient]:
    """A client with the operator's token that names this tenant."""
    headers = {"Authorization": f"Bearer {OPERATOR}", "X-Tenant-ID": str(tenant)}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{service.port}") as session:
        yield ApiClient(session, headers)


@asynccontextmanager
async def serving_api(
    database: str, tenant: UUID, **sections: dict[str, Any]
) -> AsyncIterator[ApiClient]:
    """Run a daemon that serves the API; `sections` are those of its configuration."""
    sections["admin"] = {"tokens": [OPERATOR]} | sections.get("admin", {})
    sections.setdefault("database", FEW_CONNECTIONS)
    async with serving(database, **sections) as service, operator_client(service, tenant) as api:
        yield api


async def send_test(api: ApiClient, url: str, body: Any = None) -> Any:
    """Create a webhook and test it: the status, the body, and the webhook."""
    created = await api.create_webhook(url)
    answer = await api.post(f"/api/webhooks/{created['id']}/test", body)
    return answer.status, answer.json, created
