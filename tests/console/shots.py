"""
Screenshots of every page of the console: `python3 dev.py shots [FOLDER]`.

They show the demo's data: `full` is a webhook that works, `failing` one whose receiver is down, and
`empty` a tenant without anything. Each is taken at two widths, light and dark.
"""

import argparse
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

import aiohttp
import uvloop
from playwright.async_api import Page as BrowserPage

from daemon.admin.console.page import Page
from tests.support.api_client import ApiClient
from tests.support.browser import Pages, chromium, connected, find_chromium, pages_in
from tests.support.commandline import running
from tests.support.console_scene import SHOWN, path_of

WIDTHS = (1280, 360)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CONSOLE = re.compile(r"(http://\S+)/console with the token (\S+)")
ENDPOINTS = re.compile(r"(http://\S+)/yours accepts")


@dataclass(frozen=True, slots=True)
class State:
    """What the pages of a tenant are about, by the part of paths that stands before an id."""

    name: str
    tenant: UUID
    objects: dict[str, str]

    def shows(self, page: Page) -> bool:
        """Whether this state has the page, and it is no other's."""
        if self.name == "full" or page.anyone:
            return not page.anyone
        return not page.operators and ("{" in page.path) == bool(self.objects)


@dataclass(frozen=True, slots=True)
class Demo:
    """The running demo: its address, its operator's token and what is in it."""

    origin: str
    token: str
    api: ApiClient
    states: Sequence[State]

    async def resume(self) -> None:
        """Resume the webhooks that were paused for their failures meanwhile."""
        for state in self.states:
            if state.objects:
                await self.api.post(f"/api/webhooks/{state.objects['webhooks']}/resume")


def main(arguments: list[str]) -> None:
    """Take the screenshots; exits with a message where there is no browser."""
    parser = argparse.ArgumentParser(prog="dev.py shots", description=__doc__)
    parser.add_argument("folder", nargs="?", default="dist/shots", type=Path)
    parser.add_argument("--page", default="", help="only pages whose path contains this text")
    chosen = parser.parse_args(arguments)
    browser = find_chromium()
    if browser is None:
        sys.exit("There is no Chromium on PATH: on Debian, apt-get install chromium.")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with chromium(browser) as address:
        count = uvloop.run(_shoot(address, chosen.folder, part=chosen.page))
    print(f"{count} screenshots in {chosen.folder}")


async def _shoot(address: str, folder: Path, *, part: str) -> int:
    count = 0
    async with _demo() as demo, connected(address) as contexts, pages_in(contexts) as pages:
        for scheme in SCHEMES:
            for width in WIDTHS:
                page = await _signed_in(pages, demo, scheme=scheme, width=width)
                await demo.resume()
                for name, path in _views(demo, part):
                    await page.goto(demo.origin + path)
                    file = folder / f"{name}-{width}-{scheme}.png"
                    await page.screenshot(path=file, full_page=True, animations="disabled")
                    count += 1
    return count


def _views(demo: Demo, part: str) -> list[tuple[str, str]]:
    """The name and the path of each page in each state that it has."""
    return [
        (f"{_slug(page)}-{state.name}", path_of(page, state.tenant, state.objects))
        for state in demo.states
        for page in SHOWN
        if state.shows(page) and part in page.path
    ]


def _slug(page: Page) -> str:
    words = re.sub(r"[{}]", "", page.path).strip("/").replace("/", "_")
    return f"operators_{words}" if page.operators else words


async def _signed_in(
    pages: Pages, demo: Demo, *, scheme: Literal["light", "dark"], width: int
) -> BrowserPage:
    page = await pages.open(scheme=scheme, width=width)
    await page.goto(f"{demo.origin}/console/sign-in")
    await page.get_by_label("Operator token").fill(demo.token)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/console/tenants")
    return page


@asynccontextmanager
async def _demo() -> AsyncIterator[Demo]:
    with tempfile.TemporaryDirectory() as folder:
        async with running("demo", folder=Path(folder)) as demo:
            endpoints = ENDPOINTS.search(await demo.line(lambda line: "/yours" in line))
            console = CONSOLE.search(await demo.line(lambda line: "with the token" in line))
            assert endpoints is not None
            assert console is not None
            origin, token = console.groups()
            async with aiohttp.ClientSession(origin) as session:
                api = ApiClient(session, {"Authorization": f"Bearer {token}"})
                tenant, empty = await _tenants(api)
                api = api.as_tenant(tenant)
                failing = await api.create_webhook(
                    f"{endpoints[1]}/billing", name="Billing", eventTypes=["email.*"]
                )
                await demo.line(lambda line: "Old ERP is FAILING" in line)
                yield Demo(origin, token, api, await _states(api, failing["id"], empty))
            await demo.stop(signal.SIGINT)


async def _tenants(api: ApiClient) -> tuple[UUID, UUID]:
    """The demo's tenants with the most webhooks and with none."""
    tenants = (await api.get("/api/tenants")).json["tenants"]
    ordered = sorted(tenants, key=lambda each: each["webhooks"])
    return UUID(ordered[-1]["id"]), UUID(ordered[0]["id"])


async def _states(api: ApiClient, failing: str, empty: UUID) -> list[State]:
    listed = (await api.get("/api/webhooks")).json["webhooks"]
    [working] = [each["id"] for each in listed if each["name"] == "CRM Sync"]
    tenant = UUID(api.headers["X-Tenant-ID"])
    return [
        State("full", tenant, await _objects(api, working, "success")),
        State("failing", tenant, await _objects(api, failing, "failed")),
        State("empty", empty, {}),
    ]


async def _objects(api: ApiClient, webhook: str, status: str) -> dict[str, str]:
    listed = await api.get(f"/api/webhooks/{webhook}/deliveries", status=status)
    delivery = listed.json["deliveries"][0]
    replay = await api.post("/api/replays", {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"})
    return {
        "webhooks": webhook,
        "deliveries": delivery["id"],
        "events": delivery["eventId"],
        "replays": replay.json["id"],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
