"""
A tenant of the console with something of everything, much of it hostile, and all declared pages.

The rule: tests that hold for every page take the pages from `PAGES`, so that a new one is tested
too, or fails them until this module has an object for its path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from daemon.admin.console import console_app
from daemon.admin.console.page import Page, pages_of
from tests.support.console import Console
from tests.support.daemons import until
from tests.support.receiver import Received, Receiver, Reply

PAGES = [declared for resource in console_app.PAGES for declared, _ in pages_of(resource)]
SHOWN = [each for each in PAGES if each.method == "GET" and each.document]
POSTED = [each for each in PAGES if each.method == "POST"]

PLACEHOLDER = re.compile(r"(\w[\w-]*)/\{(\w+)\}")
# Markup, a reversed file name, a bell and the end of a line: none may act.
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe\x07"
ANSWER = f"</pre><script>alert(1)</script>{HOSTILE}".encode()
EVENTS = ("email.opened", "email.clicked", "campaign.launched", "contact.created")


def name_of(page: Page) -> str:
    """A name by which failed assertions tell pages apart."""
    return f"{page.method_and_path}{' of operators' if page.operators else ''}"


def path_of(page: Page, tenant: UUID, objects: Mapping[str, UUID | str]) -> str:
    """The path of a page about these objects, each by the part of paths that stands before it."""
    below = PLACEHOLDER.sub(lambda found: f"{found[1]}/{objects[found[1]]}", page.path)
    assert "{" not in below, f"tests/support/console_scene.py has no object for {page.path}"
    return f"/console{below}" if page.operators or page.anyone else f"/console/t/{tenant}{below}"


@dataclass(frozen=True, slots=True)
class Scene:
    """Objects of one tenant, each by the part of paths that stands before its id."""

    console: Console
    tenant: UUID
    objects: dict[str, UUID | str]

    def path(self, page: Page, *, of: UUID | None = None) -> str:
        """The path of a page about these objects; `of` is another tenant in the path."""
        return path_of(page, of or self.tenant, self.objects)


async def furnish(console: Console, receiver: Receiver, *, tenant: UUID | None = None) -> Scene:
    """Fill a tenant, the first one if none is named, and wait until its deliveries are made."""
    tenant = tenant or console.tenant
    api = console.api.as_tenant(tenant)
    receiver.answer = _answer
    hooks = {}
    for name, types in (
        ("Works", None),
        ("Down", ["email.*"]),
        ("Hostile", ["campaign.*", "contact.*"]),
    ):
        path = name.lower()
        made = await api.create_webhook(f"{receiver.url}/{path}", name=name, eventTypes=types)
        hooks[path] = UUID(made["id"])
    # The API refuses such a name; the application may store it.
    rename = "UPDATE webhooks SET name = name || $2 WHERE id = $1"
    await console.app.db.execute(rename, hooks["hostile"], HOSTILE)
    paused = await api.create_webhook(f"{receiver.url}/paused", name="Paused", isActive=False)
    for kind in EVENTS:
        event = await console.app.event(tenant, _data(), type=kind)
    app = console.app

    async def all_answered() -> bool:
        rows = [row for hook in hooks.values() for row in await app.deliveries(hook)]
        return len([row for row in rows if row["status"] != "pending_retry"]) == 8

    await until(all_answered)
    failed = next(row for row in await app.deliveries(hooks["down"]) if row["status"] == "failed")
    began = {"webhookId": paused["id"], "from": "2020-01-01T00:00:00Z"}
    replay = await api.post("/api/replays", began)
    assert replay.status == 202, replay
    link = await api.post("/api/portal-links", {"tenantId": str(tenant)})
    assert link.status == 201, link
    objects: dict[str, UUID | str] = {
        "webhooks": hooks["down"],
        "deliveries": failed["id"],
        "events": event,
        "replays": replay.json["id"],
        "tenants": tenant,
        "links": link.json["id"],
    }
    return Scene(console, tenant, objects)


def _answer(request: Received) -> Reply:
    if request.path.endswith("/down"):
        return Reply(503, body=b"maintenance")
    if request.path.endswith("/hostile"):
        return Reply(200, headers={"X-Note": "<script>alert(1)</script>"}, body=ANSWER)
    return Reply()


def _data() -> dict[str, object]:
    return {
        "email_id": "msg_1",
        "campaign_id": "camp_1",
        "contact": {"id": "contact_1", "email": "sarah@example.com", "name": HOSTILE},
        "amount": 12345678901234567890,
    }
