"""The console in the HTTP application: its pages, its entrance and its files."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from daemon.admin.api.audit import AuditLog
from daemon.admin.api.auth import Access
from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.api.idempotency import Idempotency
from daemon.admin.api.operation import Route
from daemon.admin.console.api_calls import ApiCalls
from daemon.admin.console.assets import Assets
from daemon.admin.console.entry import Entrance
from daemon.admin.console.form_tokens import FormTokens
from daemon.admin.console.live_feed import LiveFeed
from daemon.admin.console.page import pages_of
from daemon.admin.console.pages import deep_links
from daemon.admin.console.pages.audit import AuditPages
from daemon.admin.console.pages.deep_links import DeepLinks
from daemon.admin.console.pages.delivery import DeliveryPages
from daemon.admin.console.pages.event_types import EventTypePages
from daemon.admin.console.pages.events import EventPages
from daemon.admin.console.pages.failing import FailingPages
from daemon.admin.console.pages.holds import HoldPages
from daemon.admin.console.pages.receive import ReceivePages
from daemon.admin.console.pages.replays import ReplayPages
from daemon.admin.console.pages.retry_failed import RetryFailedPages
from daemon.admin.console.pages.sharing import SharingPages
from daemon.admin.console.pages.system import SystemPages
from daemon.admin.console.pages.tenants import TenantPages
from daemon.admin.console.pages.undelivered import UndeliveredPages
from daemon.admin.console.pages.webhook import WebhookDeliveryPages
from daemon.admin.console.pages.webhook_actions import WebhookActions
from daemon.admin.console.pages.webhook_form import WebhookForms
from daemon.admin.console.pages.webhook_live import LiveDeliveries
from daemon.admin.console.pages.webhook_replays import WebhookReplayPages
from daemon.admin.console.pages.webhook_secret import WebhookSecrets
from daemon.admin.console.pages.webhook_settings import WebhookSettingsPages
from daemon.admin.console.pages.webhook_test import WebhookTests
from daemon.admin.console.pages.webhooks import WebhookPages
from daemon.admin.console.rendering import Renderer
from daemon.admin.console.routing import Console
from daemon.admin.console.sessions import Sessions
from daemon.admin.console.tenant_names import TenantNames
from daemon.runtime.offload import Offload
from daemon.store.database import Database

PREFIX = "/console"
PAGES = (
    *(WebhookPages(), WebhookForms(), WebhookDeliveryPages(), WebhookActions(), EventPages()),
    *(ReplayPages(), WebhookReplayPages(), RetryFailedPages()),
    *(DeepLinks(), TenantPages(), SharingPages(), AuditPages(), SystemPages(), FailingPages()),
    *(DeliveryPages(), EventTypePages(), UndeliveredPages(), WebhookTests()),
    *(WebhookSecrets(), WebhookSettingsPages(), ReceivePages(), HoldPages()),
)


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """
    `path` is where a proxy serves this server, below its host; empty for its root.

    Only pages of `allowed_origins` may show the console in a frame.
    """

    path: str
    allowed_origins: Sequence[str]
    proxies: TrustedProxies


def add_console(
    app: web.Application,
    routes: Sequence[Route],
    sessions: Sessions,
    *,
    access: Access,
    audit_log: AuditLog,
    database: Database,
    idempotency: Idempotency,
    offload: Offload,
    settings: ConsoleSettings,
) -> None:
    """Add the console, which stands on these routes of the API."""
    root = settings.path + PREFIX
    assets = Assets()
    assets.add_routes(app, prefix=PREFIX)
    renderer = Renderer(assets, offload, root=root, allowed_origins=settings.allowed_origins)
    app.on_shutdown.append(renderer.close)
    Entrance(
        sessions,
        renderer,
        root=root,
        proxies=settings.proxies,
        may_be_framed=bool(settings.allowed_origins),
    ).add_routes(app, prefix=PREFIX)
    console = Console(
        sessions,
        ApiCalls(routes, access, audit_log),
        renderer,
        FormTokens(idempotency),
        TenantNames(database),
        root=root,
        prefix=PREFIX,
    )
    feed = LiveFeed(database)
    app.on_shutdown.append(feed.close)
    for resource in (*PAGES, LiveDeliveries(feed, sessions)):
        console.add(app, pages_of(resource))
    deep_links.add_redirect(app, root=root)
