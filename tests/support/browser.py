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
from collections.abc import AsyncIterator, Callable, Iterator
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


class Contexts:
    """
    The browser's contexts, each lent to one test at a time: a new one costs as much as ten pages.

    One that is given back has no page, cookie or permission any more.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._idle: dict[tuple[tuple[str, str], ...], list[BrowserContext]] = {}
        self._lent: dict[BrowserContext, list[BrowserContext]] = {}

    async def lend(self, *, javascript: bool, **options: Any) -> BrowserContext:
        """Return a context with these options; they are those of Playwright's `new_context`."""
        options["java_script_enabled"] = javascript
        key = tuple((name, repr(value)) for name, value in sorted(options.items()))
        idle = self._idle.setdefault(key, [])
        context = idle.pop() if idle else await self._new_context(options)
        self._lent[context] = idle
        return context

    async def give_back(self, context: BrowserContext) -> None:
        """Close the pages of a context, and keep it for the next test."""
        for page in context.pages:
            await page.close()
        await context.clear_cookies()
        await context.clear_permissions()
        self._lent.pop(context).append(context)

    async def _new_context(self, options: dict[str, Any]) -> BrowserContext:
        context = await self._browser.new_context(**options)
        context.set_default_timeout(TIMEOUT_MS)
        if options["java_script_enabled"]:
            await context.add_init_script(REPORT_VIOLATIONS)
        return context


class Pages:
    """
    Opens pages in a running browser, and keeps what they do wrong in `faults`.

    A test that provokes an error adds a part of its text to `expected`.
    """

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts
        self._opened: list[BrowserContext] = []
        self._notes: dict[Any, Callable[[Any], None]] = {
            "console": self._note_message,
            "weberror": lambda error: self.faults.append(str(error.error)),
            "response": self._note_response,
        }
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
        context = await self._contexts.lend(
            javascript=javascript,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            # An animation that goes on would be painted as long as the page is open.
            **{"reduced_motion": "reduce", **options},
        )
        self._opened.append(context)
        for event, note in self._notes.items():
            context.on(event, note)
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
        """Close the pages that were opened here."""
        for context in self._opened:
            for event, note in self._notes.items():
                context.remove_listener(event, note)
            await self._contexts.give_back(context)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Contexts]:
    """Connect to a running browser; that starts Playwright's driver, which takes a second."""
    expect.set_options(timeout=TIMEOUT_MS)
    async with async_playwright() as playwright:
        yield Contexts(await playwright.chromium.connect_over_cdp(address))


@asynccontextmanager
async def pages_in(contexts: Contexts) -> AsyncIterator[Pages]:
    """Open pages during the block; raises AssertionError at the end for pages with faults."""
    pages = Pages(contexts)
    try:
        yield pages
    finally:
        await pages.close()
    assert pages.unexpected == [], pages.unexpected
