"""
The console of a running daemon: its tenants, and signed-in clients with and without a browser.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from uuid import UUID

import aiohttp
from playwright._impl._api_structures import SetCookieParam
from playwright.async_api import Page

from daemon.service import Service
from tests.support.api_client import FEW_CONNECTIONS, OPERATOR, ApiClient, operator_client
from tests.support.application import Application
from tests.support.daemons import free_port, serving

VIEWER = "v1ewer-v1ewer-v1ewer-v1ewer"
TOKENS = [OPERATOR, {"name": "viewer", "token": VIEWER, "scope": "read"}]
STREAM = "text/event-stream"  # it has no end
CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Found:
    """A response of the console, redirects not followed."""

    status: int
    headers: dict[str, str]
    text: str
    cookies: list[str]

    @property
    def location(self) -> str:
        """Where it redirects to; empty if it does not."""
        return self.headers.get("Location", "")

    @property
    def shown(self) -> str:
        """The text without markup, spaces as one."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.text)).split())


class ConsoleClient:
    """An HTTP client that keeps the session's cookie, as a browser without scripts does."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.csrf = ""

    async def call(self, method: str, path: str, **options: Any) -> Found:
        """Send a request to a path of the server; `options` are those of aiohttp."""
        async with self._session.request(
            method, path, allow_redirects=False, **options
        ) as response:
            found = Found(
                response.status,
                dict(response.headers),
                "" if response.content_type == STREAM else await response.text(),
                response.headers.getall("Set-Cookie", []),
            )
        if token := CSRF.search(found.text):
            self.csrf = token[1]
        return found

    async def get(self, path: str, **query: str) -> Found:
        """Open a page."""
        return await self.call("GET", path, params=query)

    async def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> Found:
        """Send a form, with the token of the page that was opened last."""
        return await self.call("POST", path, data={"csrf": self.csrf, **(fields or {})}, **options)

    async def sign_in(self, token: str = OPERATOR) -> str:
        """Begin an operator's session; return the path of the first page."""
        found = await self.post("/console/sign-in", {"token": token})
        assert found.status == 303, found
        await self.get("/console/event-types")  # any page, for its CSRF token
        return found.location

    async def enter(self, link: str) -> str:
        """Begin the session of a portal link; return the path of the first page."""
        found = await self.post("/console/enter", {"code": link})
        assert found.status == 303, found
        await self.get(found.location)
        return found.location

    async def move_to(self, page: Page, path: str) -> None:
        """Continue the session in a browser's page, at this path."""
        url = str(self._session._build_url(path))
        cookies = [
            SetCookieParam(
                name=each.key,
                value=each.value,
                domain="127.0.0.1",
                path=each["path"],
                httpOnly=bool(each["httponly"]),
                sameSite=each["samesite"],
            )
            for each in self._session.cookie_jar
        ]
        await page.context.add_cookies(cookies)
        await page.goto(url)


@dataclass(frozen=True, slots=True)
class Console:
    """A running daemon with two tenants; `api` is an operator's client for the first."""

    service: Service
    app: Application
    api: ApiClient
    tenant: UUID
    other_tenant: UUID
    opened: list[Page] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.service.port}"

    @property
    def url(self) -> str:
        """The console's address."""
        return f"{self.origin}/console"

    def path(self, below: str, tenant: UUID | None = None) -> str:
        """The path of a page of a tenant, the first one if none is named."""
        return f"/console/t/{tenant or self.tenant}{below}"

    def page_url(self, below: str, tenant: UUID | None = None) -> str:
        """The address of a page of a tenant."""
        return f"{self.origin}{self.path(below, tenant)}"

    async def link(self, **members: Any) -> str:
        """A new portal link of the first tenant, with these members."""
        created = await self.api.post(
            "/api/portal-links", {"tenantId": str(self.tenant), **members}
        )
        assert created.status == 201, created
        return str(created.json["url"])

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[ConsoleClient]:
        """A client that is not signed in, and sends these headers: `X_A` is X-A."""
        jar = aiohttp.CookieJar(unsafe=True)  # of an address instead of a name
        always = {name.replace("_", "-"): value for name, value in headers.items()}
        async with aiohttp.ClientSession(self.origin, cookie_jar=jar, headers=always) as session:
            yield ConsoleClient(session)

    @asynccontextmanager
    async def operator(self, token: str = OPERATOR) -> AsyncIterator[ConsoleClient]:
        """A client of an operator who has signed in."""
        async with self.client() as client:
            await client.sign_in(token)
            yield client

    @asynccontextmanager
    async def portal(self, **members: Any) -> AsyncIterator[ConsoleClient]:
        """A client of somebody who entered by a link with these members."""
        async with self.client() as client:
            await client.enter(await self.link(**members))
            yield client

    async def sign_in(self, page: Page, token: str = OPERATOR) -> Page:
        """Sign in as an operator in a browser's page, with or without scripts; type nothing."""
        self.opened.append(page)
        async with self.client() as client:
            await client.move_to(page, await client.sign_in(token))
        return page

    async def enter(self, page: Page, **members: Any) -> Page:
        """Enter by a new link with these members, with or without scripts; type nothing."""
        self.opened.append(page)
        async with self.client() as client:
            await client.move_to(page, await client.enter(await self.link(**members)))
        return page

    async def sign_in_by_form(self, page: Page, token: str = OPERATOR) -> Page:
        """Sign in as an operator does, with or without scripts; much slower."""
        self.opened.append(page)
        await page.goto(f"{self.url}/sign-in")
        await page.get_by_label("Operator token").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(re.compile(r"/console/(?!sign-in)"))
        return page

    async def enter_by_link(self, page: Page, *, by_hand: bool = False) -> Page:
        """Open a new link as its receiver does; by hand where there are no scripts."""
        self.opened.append(page)
        link = await self.link()
        await page.goto(link.partition("#")[0] if by_hand else link)
        if by_hand:
            await page.get_by_role("textbox").fill(link)
            await page.get_by_role("button", name="Open").click()
        await page.wait_for_url(re.compile(r"/console/t/"))
        return page


@asynccontextmanager
async def serving_console(
    database: str, app: Application, **sections: dict[str, Any]
) -> AsyncIterator[Console]:
    """Run a daemon with the console; `sections` are those of its configuration."""
    tenant, other = await app.tenant(), await app.tenant()
    # Portal links name the port, so it is chosen before.
    sections["admin"] = {"tokens": TOKENS, "port": free_port()} | sections.get("admin", {})
    sections.setdefault("database", FEW_CONNECTIONS)
    async with (
        serving(database, **sections) as service,
        operator_client(service, tenant) as api,
    ):
        console = Console(service, app, api, tenant, other)
        try:
            yield console
        finally:
            # Before the daemon ends, and the live lists of pages with it.
            for page in console.opened:
                await page.close()
