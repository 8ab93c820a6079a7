"""
The course of the demo: events are published, an endpoint fails, is paused and later resumed.

One loop checks every 50 ms what is due.
"""

import asyncio
import math
from collections import deque
from itertools import chain, repeat
from urllib.parse import urlsplit

from daemon.cli.demo import fixtures
from daemon.cli.demo.console_access import new_operator, open_console
from daemon.cli.demo.daemon import DELIVERY, configure_logs, running_daemon
from daemon.cli.demo.display import Display
from daemon.cli.demo.endpoints import Endpoints, ReceivedAttempt
from daemon.cli.demo.summary import Observations
from daemon.cli.receiver.server import serve
from daemon.cli.support.console import Screen
from daemon.core.model.ids import NoticeId
from daemon.core.model.notices import NoticeKind
from daemon.store import demo, webhooks
from daemon.store.connection import connected
from daemon.store.migrations import migrate
from daemon.store.publish import publish
from daemon.store.session import Connection

# All 13 types appear within a few seconds; then the pace allows reading along.
FAST_EVENTS, FAST_SECONDS, SLOW_SECONDS = 15, 0.2, 0.7
RESUME_AFTER_SECONDS = 8.0
TICK_SECONDS = 0.05


class Scenario:
    """One run of the demo on an empty database."""

    def __init__(self, screen: Screen, database_url: str, *, verbose: bool) -> None:
        self._database_url = database_url
        self._verbose = verbose
        self._display = Display(screen, DELIVERY)
        self._observed = Observations()
        self._tenants = fixtures.sample_tenants()
        self._webhooks = {w.id: w for tenant in self._tenants for w in tenant.webhooks}
        self._endpoints = Endpoints(self._webhooks.values(), self._on_attempt)
        self._events = fixtures.sample_events(self._tenants)
        self._intervals = chain(repeat(FAST_SECONDS, FAST_EVENTS), repeat(SLOW_SECONDS))
        self._next_event_at = 0.0
        self._last_notice = NoticeId(0)
        self._to_resume: deque[tuple[float, fixtures.SampleWebhook]] = deque()

    async def run(self, stop: asyncio.Event, *, seconds: float | None) -> None:
        """Run until `stop` is set or `seconds` have passed, and print the summary."""
        configure_logs(verbose=self._verbose)
        await migrate(self._database_url)
        async with (
            serve(self._endpoints.receive, "127.0.0.1", 0) as url,
            connected(self._database_url) as db,
        ):
            await fixtures.add_tenants(db, self._tenants, url)
            port = urlsplit(url).port or 0
            operator = new_operator()
            async with running_daemon(
                self._database_url, endpoints_port=port, operator=operator
            ) as service:
                daemon_url = f"http://127.0.0.1:{service.port}"
                self._display.show_introduction(
                    self._tenants,
                    daemon_url=daemon_url,
                    endpoints_url=url,
                    console=await open_console(
                        db, operator, self._tenants[0].id, daemon_url=daemon_url
                    ),
                )
                await self._loop(db, stop, seconds)
            await self._show_notices(db)
            self._display.show_summary(await demo.count_totals(db), self._observed)

    async def _loop(self, db: Connection, stop: asyncio.Event, seconds: float | None) -> None:
        self._next_event_at = _now()
        end = math.inf if seconds is None else _now() + seconds
        while not stop.is_set() and _now() < end:
            await self._publish_if_due(db)
            await self._show_notices(db)
            await self._resume_if_due(db)
            await asyncio.sleep(TICK_SECONDS)

    async def _publish_if_due(self, db: Connection) -> None:
        if _now() < self._next_event_at:
            return
        self._next_event_at += next(self._intervals)
        event = next(self._events)
        self._endpoints.expect(event.public_id)
        await publish(
            db, event.id, tenant_id=event.tenant_id, event_type=event.type, data=event.data
        )

    async def _show_notices(self, db: Connection) -> None:
        """Print new notices of the daemon, and plan the repair of paused endpoints."""
        for notice in await demo.notices_after(db, self._last_notice):
            self._last_notice = notice.id
            webhook = self._webhooks.get(notice.webhook_id)
            if webhook is None:  # created in the console
                continue
            self._display.show_notice(webhook.name, notice)
            if notice.kind in {NoticeKind.PAUSED, NoticeKind.GONE}:
                self._observed.paused.append(webhook.name)
                self._to_resume.append((_now() + RESUME_AFTER_SECONDS, webhook))

    async def _resume_if_due(self, db: Connection) -> None:
        """Repair the endpoint, then resume its webhook, as its owner would."""
        if not self._to_resume or _now() < self._to_resume[0][0]:
            return
        _, webhook = self._to_resume.popleft()
        webhook.status_rule = fixtures.always_succeed
        self._display.show_resumed(webhook.name)
        self._observed.resumed.append(webhook.name)
        await webhooks.set_active(db, webhook.tenant_id, webhook.id, active=True)

    def _on_attempt(self, received: ReceivedAttempt) -> None:
        self._observed.add(received)
        self._display.show_attempt(received)


def _now() -> float:
    return asyncio.get_running_loop().time()
