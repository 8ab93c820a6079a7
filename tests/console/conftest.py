"""
Fixtures of the console's tests: a daemon with the console, and pages that are signed in.

A page that does something wrong fails the test: see tests/support/browser.py. These tests share one
event loop, and so one connection to the browser.
"""

import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.support.application import Application
from tests.support.browser import Contexts, Pages, chromium, connected, find_chromium, pages_in
from tests.support.console import Console, serving_console
from tests.support.receiver import Receiver, receiving

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # pytest-asyncio reads the mark here too: without it, the loop would end after each test, and
    # the driver of the browser with it.
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.definition.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def chromium_address() -> Iterator[str]:
    """The browser of this run; skips the test where the machine has none."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on PATH: on Debian, apt-get install chromium")
    with chromium(path) as address:
        yield address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def contexts(chromium_address: str) -> AsyncIterator[Contexts]:
    """The browser of this run, through one connection."""
    async with connected(chromium_address) as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="session")
async def app(database: str) -> AsyncIterator[Application]:
    """The main application, as in tests/conftest.py, on this loop."""
    connection = await asyncpg.connect(database)
    yield Application(connection)
    await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    """A customer's endpoint on loopback, as in tests/conftest.py, on this loop."""
    async with receiving() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def pages(contexts: Contexts) -> AsyncIterator[Pages]:
    """Opens pages that are not signed in, of any width and colours, with scripts or without."""
    async with pages_in(contexts) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def console(database: str, app: Application) -> AsyncIterator[Console]:
    """A daemon with the console and two tenants, over the test's database."""
    async with serving_console(database, app, log={"level": "warning"}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def operator_page(pages: Pages, console: Console) -> Page:
    """A page of an operator."""
    return await console.sign_in(await pages.open())


@pytest_asyncio.fixture(loop_scope="session")
async def portal_page(pages: Pages, console: Console) -> Page:
    """A page of a tenant's people, who may change things."""
    return await console.enter(await pages.open())


@pytest_asyncio.fixture(loop_scope="session")
async def reader_page(pages: Pages, console: Console) -> Page:
    """A page of a tenant's people, who may only read."""
    return await console.enter(await pages.open(), scope="read")


@pytest_asyncio.fixture(loop_scope="session")
async def plain_operator_page(pages: Pages, console: Console) -> Page:
    """A page of an operator whose browser runs no scripts."""
    return await console.sign_in(await pages.open(javascript=False))


@pytest_asyncio.fixture(loop_scope="session")
async def plain_portal_page(pages: Pages, console: Console) -> Page:
    """A page of a tenant's people whose browser runs no scripts."""
    return await console.enter(await pages.open(javascript=False))
