"""Webhooks: list, retrieve, update."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import Problem, not_found, require_found
from daemon.admin.resources.delivery_options import store_options
from daemon.admin.resources.notification_emails import NotificationEmails
from daemon.admin.resources.origin_change import require_secrets_again
from daemon.admin.resources.webhook_limits import WebhookQuota
from daemon.admin.resources.webhook_locks import lock_names
from daemon.admin.resources.webhook_scopes import allowed_scope, is_hidden, store_scope
from daemon.admin.resources.webhook_secrets import (
    SECRET_MEMBERS,
    changed_secrets,
    usable_certificate,
)
from daemon.admin.resources.webhook_settings import (
    changed_settings,
    check_settings,
    given_members,
)
from daemon.admin.resources.webhook_stats import summaries
from daemon.admin.views.webhooks import webhook_response, webhooks_response
from daemon.core.model.ids import WebhookId
from daemon.core.model.webhooks import WebhookEntry
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.runtime.offload import Offload
from daemon.secrets.encryption import Vault
from daemon.store import tenants, webhooks
from daemon.store.database import Database
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Lists, retrieves and updates webhooks."""

    database: Database
    vault: Vault
    policy: EgressPolicy
    emails: NotificationEmails
    quota: WebhookQuota
    offload: Offload
    schedules: AbstractSet[str]

    @operation(
        "GET /api/webhooks",
        operation_id="listWebhooks",
        tag="Webhooks",
        summary="List webhooks",
        description="A page ends early where its webhooks are large: `next` says where it goes on.",
        query=schemas.WebhooksQuery,
        responses={200: ("A page of webhooks.", schemas.WebhookList)},
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown tenant or an unknown `after`."""
        query: schemas.WebhooksQuery = request.query
        tenant_id = request.tenant_id
        after = None if query.after is None else WebhookId(query.after)
        async with self.database.connection() as db:
            if after is not None:
                place = await webhooks.get(db, tenant_id, after)
                if place is None or is_hidden(place, request.caller):
                    raise Problem(404, "after: this tenant has no webhook with this id")
            page, more_follow = await webhooks.list_page(
                *(db, tenant_id),
                after=after,
                limit=query.limit,
                state=query.state,
                search=query.search,
                trouble_first=query.sort == "trouble",
                for_operators=request.caller.is_operator,
            )
            # Without this check, a wrong X-Tenant-ID would look like a tenant without webhooks.
            if not page and await tenants.exists(db, tenant_id) is False:
                raise not_found("tenant")
            ids = [each.id for each in page if query.include is not None]
            hourly = query.include == "hourly"
            stats = await summaries(db, ids, hourly=hourly) if ids else {}
        shown = await webhooks_response(
            *(page, self.vault, self.emails.allowed),
            schedules=self.schedules,
            stats=stats,
            more_follow=more_follow,
        )
        return ApiResponse(200, shown)

    @operation(
        "GET /api/webhooks/{id}",
        operation_id="retrieveWebhook",
        tag="Webhooks",
        summary="Retrieve a webhook",
        responses={200: ("The webhook.", schemas.Webhook)},
    )
    async def retrieve(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook."""
        async with self.database.connection() as db:
            webhook = await webhooks.get(db, request.tenant_id, WebhookId(request.id))
        found = require_found(webhook, "webhook")
        return ApiResponse(200, self._shown(found))

    @operation(
        "PATCH /api/webhooks/{id}",
        operation_id="updateWebhook",
        tag="Webhooks",
        summary="Update a webhook",
        description=(
            "The changes apply from the next attempt on. With an `endpointUrl` of another origin"
            " (scheme, host and port), send every custom header and the client certificate again in"
            " the same request, or null to remove them; otherwise a 422 names what is missing."
        ),
        body=schemas.UpdateWebhookRequest,
        responses={200: ("The webhook.", schemas.Webhook)},
        problems=(409, 429),
    )
    async def update(self, request: ApiRequest) -> ApiResponse:
        """
        Raises Problem: 403 for a scope that tenants may not set, 404 for an unknown webhook, 409
        when its tenant may have no more webhooks at its new host, 422 for settings that cannot be
        used and for secrets that are missing at another origin, 429 at the limit of mails that ask
        for confirmation.
        """
        changes = await self._changes(request)
        scope = allowed_scope(changes.get("scope"), request.caller)
        async with self.database.locked(*lock_names(request.tenant_id, changes.keys())) as db:
            webhook = await _lock(db, request)
            settings = changed_settings(webhook.settings, changes)
            check_settings(settings, self.policy)
            require_secrets_again(webhook.secrets, changes)
            await self.quota.check_move(
                *(db, request.tenant_id),
                old_url=webhook.settings.endpoint_url,
                new_url=settings.endpoint_url,
            )
            if scope is not None:
                await store_scope(db, webhook, scope, by=request.caller)
            await self._store_members(db, webhook, changes)
            webhook = await webhooks.update_settings(db, webhook.id, settings)
            await request.audit.write(db)
        return ApiResponse(200, self._shown(webhook))

    async def _store_members(
        self, db: Connection, webhook: WebhookEntry, changes: dict[str, Any]
    ) -> None:
        """Store the changed members that are no settings. Raises Problem (422, 429)."""
        if SECRET_MEMBERS & changes.keys():
            secrets = changed_secrets(webhook.secrets, changes, self.vault)
            await webhooks.update_secrets(db, secrets)
        active = changes.get("is_active", webhook.is_active)
        if active != webhook.is_active:
            await webhooks.set_active(db, webhook.tenant_id, webhook.id, active=active)
        if "notification_email" in changes:
            await self.emails.change(db, webhook, changes["notification_email"])
        await store_options(db, webhook, changes, schedules=self.schedules)

    async def _changes(self, request: ApiRequest) -> dict[str, Any]:
        """The members to change. Raises Problem (422) for a certificate that cannot be used."""
        changes = given_members(request.body)
        if "client_certificate" in changes:
            given = changes["client_certificate"]
            changes["client_certificate"] = await usable_certificate(
                given, self.offload, tenant_id=request.tenant_id
            )
        return changes

    def _shown(self, webhook: WebhookEntry) -> schemas.Webhook:
        return webhook_response(webhook, self.vault, self.emails.allowed, schedules=self.schedules)


async def _lock(db: Connection, request: ApiRequest) -> WebhookEntry:
    """Lock the webhook that a request names. Raises Problem (404)."""
    webhook = require_found(
        await webhooks.get_for_update(db, request.tenant_id, WebhookId(request.id)), "webhook"
    )
    if is_hidden(webhook, request.caller):  # since the request was read
        raise not_found("webhook")
    return webhook
