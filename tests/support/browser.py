"""
A real browser: the system's Chromium, which Playwright steers.

The rule: whatever a page does wrong (an error of a script, a failed load, a violation of the
Content Security Policy) fails the test that opened it. The browser reaches this machine only.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    async_playwright,
    expect,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 15_000
# Without background work and first-run pages, with a fresh profile; no name but these is resolved.
OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-features=Translate,MediaRouter,OptimizationHints",
    "--disable-sync",
    "--hide-scrollbars",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
ADDRESS = re.compile(r"ws://\S+")
# Chromium writes it for every response of the 4xx kind, which pages show on purpose.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`violation of ${event.violatedDirective}: ${event.blockedURI}`));
"""


def find_chromium() -> str | None:
    """The path of the browser; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium(path: str) -> Iterator[str]:
    """Run the browser; yield the address by which Playwright reaches it."""
    # Chromium's own sandbox refuses to run as root.
    options = [*OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory(prefix="webhookd-chromium-", ignore_cleanup_errors=True) as at:
        process = subprocess.Popen(
            [path, *options, f"--user-data-dir={at}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "HOME": at},
            text=True,
        )
        try:
            yield _address(process)
        finally:
            process.terminate()
            process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        if found := ADDRESS.search(line):
            return found[0]
        lines.append(line)
    raise RuntimeError(f"Chromium did not start:\n{''.join(lines)}")


class Pages:
    """
    Opens pages in a running browser, and keeps what they do wrong in `faults`.

    A test that provokes an error adds a part of its text to `expected`.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.faults: list[str] = []
        self.expected: list[str] = []

    async def open(
        self,
        *,
        javascript: bool = True,
        width: int = 1280,
        scheme: Literal["light", "dark"] = "light",
        **options: Any,
    ) -> Page:
        """
        An empty page with cookies of its own; `options` are those of Playwright's `new_context`.
        """
        context = await self._browser.new_context(
            java_script_enabled=javascript,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            # An animation that goes on would be painted as long as the page is open.
            **{"reduced_motion": "reduce", **options},
        )
        self._contexts.append(context)
        return await self._watched(context, javascript=javascript)

    async def _watched(self, context: BrowserContext, *, javascript: bool) -> Page:
        context.set_default_timeout(TIMEOUT_MS)
        if javascript:
            await context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._note_message)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on("response", self._note_response)
        return await context.new_page()

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not REFUSED.match(message.text):
            self.faults.append(f"{message.text} ({message.location['url']})")

    def _note_response(self, response: Response) -> None:
        if response.status >= 500 or (response.status >= 400 and "/static/" in response.url):
            self.faults.append(f"{response.status} from {response.url}")

    @property
    def unexpected(self) -> list[str]:
        """The faults that the test did not provoke."""
        return [each for each in self.faults if not any(part in each for part in self.expected)]

    async def close(self) -> None:
        """Close the pages that were opened here; without the page it began with, a browser ends."""
        for context in self._contexts:
            await context.close()


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Browser]:
    """Connect to a running browser; that starts Playwright's driver, which takes a second."""
    expect.set_options(timeout=TIMEOUT_MS)
    async with async_playwright() as playwright:
        yield await playwright.chromium.connect_over_cdp(address)


@asynccontextmanager
async def pages_in(browser: Browser) -> AsyncIterator[Pages]:
    """Open pages during the block; raises AssertionError at the end for pages with faults."""
    pages = Pages(browser)
    try:
        yield pages
    finally:
        await pages.close()
    assert pages.unexpected == [], pages.unexpected
