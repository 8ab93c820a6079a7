"""A browser without scripts: it keeps cookies, and sends forms as their pages have them."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import aiohttp

from tests.support.api_client import OPERATOR


@dataclass(frozen=True, slots=True)
class ConsolePage:
    """A page as the browser got it; `url` is where redirects led."""

    status: int
    url: str
    html: str

    @property
    def text(self) -> str:
        """What a reader sees, without tags and with single spaces."""
        parser = _Text()
        parser.feed(self.html)
        return re.sub(r"\s+", " ", "".join(parser.parts))

    def form(self, action: str) -> dict[str, str]:
        """The fields with their values of the form with this end of its action."""
        parser = _Form(action)
        parser.feed(self.html)
        assert parser.found, f"no form with the action {action}"
        return parser.fields


class ConsoleClient:
    """A signed-in browser at a tenant's pages."""

    def __init__(self, session: aiohttp.ClientSession, tenant: UUID, *, origin: str) -> None:
        self._session = session
        self._tenant = tenant
        self._origin = origin
        self._base = f"{origin}/console/t/{tenant}"

    def at_port(self, port: int) -> "ConsoleClient":
        """This browser, at another daemon of the same address."""
        return ConsoleClient(self._session, self._tenant, origin=f"http://127.0.0.1:{port}")

    async def get(self, path: str) -> ConsolePage:
        """Open a page below the tenant's."""
        async with self._session.get(self._base + path) as response:
            return ConsolePage(response.status, str(response.url), await response.text())

    async def post(self, path: str, fields: dict[str, str]) -> ConsolePage:
        """Send a form with these fields."""
        async with self._post(path, fields) as response:
            return ConsolePage(response.status, str(response.url), await response.text())

    async def post_only(self, path: str, fields: dict[str, str]) -> str:
        """Send a form; returns the page below the tenant's to which the answer redirects."""
        async with self._post(path, fields, allow_redirects=False) as response:
            assert response.status == 303, await response.text()
            return response.headers["Location"].partition(str(self._tenant))[2]

    async def submit(self, page: str, action: str, **fields: str | None) -> ConsolePage:
        """Open a page, fill in fields of the form with this action, and send it; None unchecks."""
        filled = (await self.get(page)).form(action) | fields
        return await self.post(action, {n: v for n, v in filled.items() if v is not None})

    def _post(
        self, path: str, fields: dict[str, str], **options: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {"Origin": self._origin}
        return self._session.post(self._base + path, data=fields, headers=headers, **options)


@asynccontextmanager
async def console_client(port: int, tenant: UUID) -> AsyncIterator[ConsoleClient]:
    """A browser in which an operator signed in."""
    # Cookies of hosts that are addresses are kept too.
    jar = aiohttp.CookieJar(unsafe=True)
    origin = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        url, fields = f"{origin}/console/sign-in", {"token": OPERATOR, "next": ""}
        async with session.post(url, data=fields, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
        yield ConsoleClient(session, tenant, origin=origin)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


class _Form(HTMLParser):
    """Collects what a browser sends of a form that nobody changed."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self._action = action
        self._inside = self.found = False
        self._select = self._area = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = given.get("action", "").endswith(self._action)
            self.found |= self._inside
        if not self._inside or not (name := given.get("name", self._select)):
            return
        if tag == "select":
            self._select = name
        elif tag == "option" and (name not in self.fields or "selected" in given):
            self.fields[name] = given.get("value", "")
        elif tag == "textarea":
            self._area, self.fields[name] = name, ""
        elif tag == "input" and (
            given.get("type") not in {"checkbox", "radio"} or "checked" in given
        ):
            self.fields[name] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._inside and self._area:
            self.fields[self._area] += data
