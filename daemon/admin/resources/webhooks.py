"""Webhooks over HTTP: make, look at, change, pause, resume, rotate, remove."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from daemon.admin import schemas
from daemon.admin.api.operation import Call, Link, Operation, Reply
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.resources.webhook_settings import (
    SECRETS,
    _at_fault,
    _changed,
    _filters,
    _judged,
    _tuple,
    _with_certificate,
    given,
)
from daemon.admin.views import webhooks as webhook_views
from daemon.config import parse_duration
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import judge_url
from daemon.secrets.credentials import (
    header_members,
    header_place,
    new_secret,
    sealed,
    secret_place,
)
from daemon.secrets.vault import Vault
from daemon.store import secrets, webhooks
from daemon.store.database import Database
from daemon.store.webhooks import NoSuchTenantError

REMOVED_AT_ONCE = 2000

NEXT = {
    "get": Link("getWebhook"),
    "change": Link("changeWebhook"),
    "test": Link("testWebhook"),
    "deliveries": Link("listDeliveries"),
}


@dataclass(frozen=True, slots=True)
class WebhookDesk:
    """What is done with webhooks."""

    database: Database
    vault: Vault
    policy: EgressPolicy

    def operations(self) -> list[Operation]:
        one = {200: ("The webhook.", schemas.Webhook)}
        return [
            Operation(
                *("POST", "/api/webhooks", "addWebhook", "Webhooks"),
                summary="Make a webhook",
                handle=self.add,
                body=schemas.NewWebhook,
                replies={201: ("Made; the secret is shown this once.", schemas.NewlyMadeWebhook)},
                problems=(413, 415),
                links=NEXT,
            ),
            Operation(
                *("GET", "/api/webhooks", "listWebhooks", "Webhooks"),
                summary="List webhooks",
                handle=self.page,
                query=schemas.WebhooksQuery,
                replies={200: ("A page of webhooks, by name.", schemas.Webhooks)},
            ),
            Operation(
                *("GET", "/api/webhooks/{id}", "getWebhook", "Webhooks"),
                summary="Look at a webhook",
                handle=self.get,
                replies=one,
            ),
            Operation(
                *("PATCH", "/api/webhooks/{id}", "changeWebhook", "Webhooks"),
                summary="Change a webhook",
                description="In force with the next attempt that is begun.",
                handle=self.change,
                body=schemas.WebhookChange,
                replies=one,
                problems=(413, 415),
            ),
            Operation(
                *("DELETE", "/api/webhooks/{id}", "removeWebhook", "Webhooks"),
                summary="Remove a webhook and all of its deliveries",
                handle=self.remove,
                replies={204: ("Removed.", None)},
            ),
            Operation(
                *("POST", "/api/webhooks/{id}/pause", "pauseWebhook", "Webhooks"),
                summary="Pause a webhook",
                description="What is pending waits; what comes meanwhile can be replayed.",
                handle=self.pause,
                replies=one,
            ),
            Operation(
                *("POST", "/api/webhooks/{id}/resume", "resumeWebhook", "Webhooks"),
                summary="Resume a webhook",
                description="It begins afresh: its failures are forgotten.",
                handle=self.resume,
                replies=one,
            ),
            Operation(
                *("POST", "/api/webhooks/{id}/rotate-secret", "rotateSecret", "Webhooks"),
                summary="Give a webhook a new secret",
                description=(
                    "Requests are signed with both until the overlap ends. While it lasts another"
                    " rotation is a 409, unless it replaces the new secret or gives no overlap."
                ),
                handle=self.rotate,
                body=schemas.Rotation,
                body_optional=True,
                replies={200: ("The new secret, shown this once.", schemas.RotatedSecret)},
                problems=(409, 413, 415),
            ),
        ]

    async def add(self, call: Call) -> Reply:
        body: schemas.NewWebhook = call.body
        settings = WebhookSettings(
            name=body.name,
            description=body.description,
            endpoint_url=body.endpoint_url,
            event_types=_tuple(body.event_types),
            event_filters=_filters(body.event_filters),
            notification_email=body.notification_email,
        )
        self._check(settings)
        secret = new_secret()
        stored = StoredSecrets(
            WebhookId(uuid4()), secret, custom_headers=_judged(body.custom_headers)
        )
        stored = sealed(_with_certificate(stored, body.client_certificate), self.vault)
        try:
            async with self.database.transaction() as db:
                entry = await webhooks.insert(
                    db, call.tenant, settings, stored, is_active=body.is_active
                )
        except NoSuchTenantError:
            raise not_found("tenant") from None
        shown = webhook_views.members_of(entry)
        return Reply(201, schemas.NewlyMadeWebhook(**shown, secret_key=secret))

    async def page(self, call: Call) -> Reply:
        query: schemas.WebhooksQuery = call.query
        after = None if query.after is None else WebhookId(query.after)
        async with self.database.connection() as db:
            if after is not None and await webhooks.get(db, call.tenant, after) is None:
                raise Problem(404, "after: there is no such webhook")
            found = await webhooks.list_by_name(db, call.tenant, after=after, limit=query.limit + 1)
            # Or a slip in X-Tenant-ID would look like a tenant without webhooks.
            if not found and not await webhooks.tenant_exists(db, call.tenant):
                raise not_found("tenant")
        shown = found[: query.limit]
        more = str(shown[-1].id) if len(found) > query.limit else None
        return Reply(
            200,
            schemas.Webhooks(webhooks=[webhook_views.webhook(each) for each in shown], next=more),
        )

    async def get(self, call: Call) -> Reply:
        async with self.database.connection() as db:
            entry = await webhooks.get(db, call.tenant, WebhookId(call.id))
        return Reply(200, webhook_views.webhook(_there(entry)))

    async def change(self, call: Call) -> Reply:
        changes = given(call.body)
        async with self.database.transaction() as db:
            entry = _there(await webhooks.get_for_update(db, call.tenant, WebhookId(call.id)))
            settings = _changed(entry.settings, changes)
            self._check(settings)
            if SECRETS & changes.keys():
                stored = self._changed_secrets(entry.secrets, changes)
                await webhooks.update_secrets(db, stored)
            active = changes.get("is_active", entry.is_active)
            if active != entry.is_active:
                await webhooks.set_active(db, call.tenant, entry.id, active=active)
            entry = await webhooks.update_settings(db, entry.id, settings)
        return Reply(200, webhook_views.webhook(entry))

    async def pause(self, call: Call) -> Reply:
        return await self._set_active(call, active=False)

    async def resume(self, call: Call) -> Reply:
        return await self._set_active(call, active=True)

    async def remove(self, call: Call) -> Reply:
        """Its deliveries go first and bit by bit: a million of them are no one statement's work."""
        webhook_id = WebhookId(call.id)
        async with self.database.transaction() as db:
            _there(await webhooks.set_active(db, call.tenant, webhook_id, active=False))
        while await self._remove_some(webhook_id):
            pass
        async with self.database.transaction() as db:
            await webhooks.delete(db, call.tenant, webhook_id)
        return Reply(204)

    async def rotate(self, call: Call) -> Reply:
        overlap = parse_duration(call.body.overlap)
        secret, webhook_id = new_secret(), WebhookId(call.id)
        stored = secret
        if self.vault.newest is not None:
            stored = self.vault.seal(secret, place=secret_place(webhook_id))
        async with self.database.transaction() as db:
            _there(await webhooks.get_for_update(db, call.tenant, webhook_id))
            rotated = await secrets.rotate(
                db, webhook_id, stored, overlap=overlap, replace=call.body.replace
            )
        if isinstance(rotated, secrets.UnderWay):
            raise Problem(409, str(rotated))
        assert rotated is not None
        return Reply(
            200,
            schemas.RotatedSecret(
                id=webhook_id,
                secret_key=secret,
                previous_secret_expires_at=rotated.overlap_until,
            ),
        )

    def _check(self, settings: WebhookSettings) -> None:
        """Raises Problem for what could never work."""
        judged = judge_url(settings.endpoint_url, self.policy)
        if isinstance(judged, Refusal):
            raise _at_fault("endpointUrl", judged.reason)
        matcher = compile_subscription(settings.event_types, settings.event_filters)
        if isinstance(matcher, UnusableFilter):
            raise _at_fault("eventFilters", matcher.reason)

    async def _set_active(self, call: Call, *, active: bool) -> Reply:
        async with self.database.transaction() as db:
            entry = await webhooks.set_active(db, call.tenant, WebhookId(call.id), active=active)
        return Reply(200, webhook_views.webhook(_there(entry)))

    async def _remove_some(self, webhook_id: WebhookId) -> int:
        async with self.database.transaction(durable=False) as db:
            return await webhooks.delete_some_deliveries(db, webhook_id, limit=REMOVED_AT_ONCE)

    def _changed_secrets(self, stored: StoredSecrets, changes: dict[str, Any]) -> StoredSecrets:
        if "custom_headers" in changes:
            merged = self._merged(stored, changes["custom_headers"])
            stored = replace(stored, custom_headers=_judged(merged))
        if "client_certificate" in changes:
            stored = _with_certificate(stored, changes["client_certificate"])
        return sealed(stored, self.vault)

    def _merged(
        self, stored: StoredSecrets, changes: dict[str, str | None] | None
    ) -> dict[str, str] | None:
        if changes is None:
            return None
        headers = header_members(stored.custom_headers or "{}") or {}
        opened = {
            name: self.vault.open(str(value), place=header_place(stored.webhook_id, name))
            for name, value in headers.items()
            if name.lower() not in {each.lower() for each in changes}
        }
        return opened | {name: value for name, value in changes.items() if value is not None}


def _there(entry: WebhookEntry | None) -> WebhookEntry:
    if entry is None:
        raise not_found("webhook")
    return entry
