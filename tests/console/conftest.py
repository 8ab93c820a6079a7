"""
Fixtures of the console's tests: a daemon with the console, and pages that are signed in.

A page that does something wrong fails the test: see tests/support/browser.py.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Page

from tests.support.application import Application
from tests.support.browser import Pages, chromium, find_chromium, pages_of
from tests.support.console import Console, serving_console


@pytest.fixture(scope="session")
def chromium_address() -> Iterator[str]:
    """The browser of this run; skips the test where the machine has none."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on PATH: on Debian, apt-get install chromium")
    with chromium(path) as address:
        yield address


@pytest.fixture
async def pages(chromium_address: str) -> AsyncIterator[Pages]:
    """Opens pages that are not signed in, of any width and colours, with scripts or without."""
    async with pages_of(chromium_address) as opened:
        yield opened


@pytest.fixture
async def console(database: str, app: Application) -> AsyncIterator[Console]:
    """A daemon with the console and two tenants, over the test's database."""
    async with serving_console(database, app, log={"level": "warning"}) as running:
        yield running


@pytest.fixture
async def operator_page(pages: Pages, console: Console) -> Page:
    """A page of an operator."""
    return await console.sign_in(await pages.open())


@pytest.fixture
async def portal_page(pages: Pages, console: Console) -> Page:
    """A page of a tenant's people, who may change things."""
    return await console.enter(await pages.open())


@pytest.fixture
async def reader_page(pages: Pages, console: Console) -> Page:
    """A page of a tenant's people, who may only read."""
    return await console.enter(await pages.open(), scope="read")


@pytest.fixture
async def plain_operator_page(pages: Pages, console: Console) -> Page:
    """A page of an operator whose browser runs no scripts."""
    return await console.sign_in(await pages.open(javascript=False))


@pytest.fixture
async def plain_portal_page(pages: Pages, console: Console) -> Page:
    """A page of a tenant's people whose browser runs no scripts."""
    return await console.enter(await pages.open(javascript=False), by_hand=True)
