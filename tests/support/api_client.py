"""A caller of the HTTP API, as the dashboard or a customer's script is one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import orjson

from daemon.service import Service
from tests.support.daemons import serving

OPERATOR = "0perator-0perator-0perator"


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it came; `json` is None without a body."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.text) if self.text else None

    @property
    def error(self) -> str:
        """The one sentence of a problem."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        return str(self.json["error"])

    @property
    def pointers(self) -> list[str]:
        return [each.get("pointer") or each["parameter"] for each in self.json["errors"]]


class Caller:
    """Calls with these headers."""

    def __init__(self, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        self._session = session
        self.headers = headers

    def url(self, path: str) -> str:
        """For another program."""
        return str(self._session._build_url(path))

    def with_headers(self, **headers: str | None) -> "Caller":
        """The same with other headers, `X_Tenant_ID` for X-Tenant-ID; None leaves one out."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name not in changed}
        return Caller(self._session, kept | {n: v for n, v in changed.items() if v is not None})

    def as_tenant(self, tenant: UUID) -> "Caller":
        return self.with_headers(X_Tenant_ID=str(tenant))

    def with_token(self, token: str) -> "Caller":
        return self.with_headers(Authorization=f"Bearer {token}", X_Tenant_ID=None)

    async def call(self, method: str, path: str, json: Any = None, **parts: Any) -> Answered:
        if json is not None:
            parts["data"] = orjson.dumps(json)
            parts["headers"] = {"Content-Type": "application/json"} | parts.get("headers", {})
        headers = self.headers | parts.pop("headers", {})
        async with self._session.request(method, path, headers=headers, **parts) as answer:
            return Answered(answer.status, dict(answer.headers), await answer.text())

    async def get(self, path: str, **query: Any) -> Answered:
        return await self.call("GET", path, params={name: str(v) for name, v in query.items()})

    async def post(self, path: str, json: Any = None) -> Answered:
        return await self.call("POST", path, json)

    async def patch(self, path: str, json: Any) -> Answered:
        return await self.call("PATCH", path, json)

    async def delete(self, path: str) -> Answered:
        return await self.call("DELETE", path)

    async def webhook(self, url: str, **members: Any) -> Any:
        """A new webhook, as the answer shows it."""
        made = await self.post(
            "/api/webhooks", {"name": "a webhook", "endpointUrl": url, **members}
        )
        assert made.status == 201, made
        return made.json


@asynccontextmanager
async def calling(service: Service, tenant: UUID) -> AsyncIterator[Caller]:
    """As the operator, for this tenant."""
    headers = {"Authorization": f"Bearer {OPERATOR}", "X-Tenant-ID": str(tenant)}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{service.port}") as session:
        yield Caller(session, headers)


@asynccontextmanager
async def serving_api(
    database: str, tenant: UUID, **sections: dict[str, Any]
) -> AsyncIterator[Caller]:
    """A daemon that serves the API, and a caller of it."""
    sections["admin"] = {"tokens": [OPERATOR]} | sections.get("admin", {})
    async with serving(database, **sections) as service, calling(service, tenant) as caller:
        yield caller
