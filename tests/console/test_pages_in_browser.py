"""
What holds for every page in a browser: size, accessibility, width, and no report of any kind.

The pages are those that are declared, of a tenant with something of everything and of an empty one.
"""

from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page as BrowserPage

from tests.support.browser import Pages
from tests.support.console import Console
from tests.support.console_scene import SHOWN, Scene, furnish, name_of
from tests.support.receiver import Receiver

MAX_BYTES, MAX_REQUESTS = 60 * 1024, 10
SERIOUS = {"serious", "critical"}
OPENED_MOST = ("GET /webhooks", "GET /webhooks/{id}", "GET /webhooks/new")
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest_asyncio.fixture(loop_scope="session")
async def scene(console: Console, receiver: Receiver) -> Scene:
    return await furnish(console, receiver)


def addresses(scene: Scene) -> dict[str, str]:
    """Every page of the furnished tenant, and those of an empty one that name no object."""
    empty = scene.console.other_tenant
    paths = {name_of(page): scene.path(page) for page in SHOWN}
    paths |= {
        f"{name_of(page)} of nothing": scene.path(page, of=empty)
        for page in SHOWN
        if not (page.operators or "{" in page.path)
    }
    return {name: scene.console.origin + path for name, path in paths.items()}


@pytest.mark.full
async def test_every_page_is_small_and_loads_little(pages: Pages, scene: Scene) -> None:
    page = await scene.console.sign_in(await pages.open())
    network = await page.context.new_cdp_session(page)
    loads: list[int] = []
    network.on("Network.loadingFinished", lambda event: loads.append(event["encodedDataLength"]))
    await network.send("Network.enable")
    too_large = {}
    for name, address in addresses(scene).items():
        await network.send("Network.clearBrowserCache")
        loads.clear()
        await page.goto(address)
        if sum(loads) > MAX_BYTES or not 2 < len(loads) <= MAX_REQUESTS:
            too_large[name] = (sum(loads), len(loads))

    assert too_large == {}


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_every_page_is_accessible_and_fits(
    pages: Pages, scene: Scene, scheme: Literal["light", "dark"], width: int
) -> None:
    # axe adds styles of its own, which the pages' policy forbids.
    page = await pages.open(scheme=scheme, width=width, bypass_csp=True)
    found = {
        "sign-in": await faults(page, f"{scene.console.url}/sign-in"),
        "enter": await faults(page, f"{scene.console.url}/enter"),
    }
    await scene.console.sign_in(page)
    for name, address in addresses(scene).items():
        found[name] = await faults(page, address)

    assert {name: each for name, each in found.items() if each} == {}


async def test_the_pages_opened_most_are_accessible_and_fit(pages: Pages, scene: Scene) -> None:
    page = await pages.open(scheme="dark", width=360, bypass_csp=True)
    await scene.console.sign_in(page)
    for name in OPENED_MOST:
        assert await faults(page, addresses(scene)[name]) == []


async def faults(page: BrowserPage, address: str) -> list[str]:
    """What axe finds serious on a page, and by how much it is wider than the window."""
    await page.goto(address)
    results = await Axe().run(page)
    found = [
        f"{each['id']}: {node['html'][:120]} ({node['failureSummary'][:300]})"
        for each in results.response["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]
    wider = await page.evaluate(WIDER)
    return [*found, *([f"{wider} px wider than the window"] if wider > 0 else [])]
