"""`webhookd demo` opens the console: signed in by its link, with traffic in it."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.browser import Pages
from tests.support.commandline import running
from tests.support.postgres import folder_for_postgres

LINK = re.compile(r"http://\S+/console/enter#\S+")
TOKEN = re.compile(r"(http://\S+/console) with the token (\S+)")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The demo's folder for temporary files; its path is short: it will contain a socket."""
    with folder_for_postgres() as folder:
        yield folder


@pytest.mark.full
async def test_the_link_that_the_demo_prints_opens_the_console_with_traffic_in_it(
    pages: Pages, temporary: Path, tmp_path: Path
) -> None:
    async with running("demo", folder=tmp_path, env={"TMPDIR": str(temporary)}) as demo:
        link = await demo.line(lambda line: LINK.search(line) is not None)
        token = await demo.line(lambda line: TOKEN.search(line) is not None)
        await demo.line(lambda line: "Old ERP is FAILING" in line)
        page, operator_page = await pages.open(), await pages.open()

        await page.goto(link.strip())

        await expect(page.get_by_role("link", name="Old ERP")).to_be_visible()
        await page.get_by_role("link", name="CRM Sync").click()
        await expect(page.get_by_text("email.opened").first).to_be_visible()

        found = TOKEN.search(token)
        assert found is not None
        await operator_page.goto(found[1])
        await operator_page.get_by_label("Operator token").fill(found[2])
        await operator_page.get_by_role("button", name="Sign in").click()
        await operator_page.wait_for_url("**/console/tenants")

        # The live list is cut off when the demo ends, and then asks a demo that has ended.
        pages.expected += ["ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_REFUSED"]
        assert await demo.stop(signal.SIGINT) == 0
