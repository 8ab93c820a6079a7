"""Webhooks: create, list, retrieve, update."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from daemon.admin import schemas
from daemon.admin.api.auth import Caller
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import Problem, not_found, require_found
from daemon.admin.resources.delivery_options import changed_options
from daemon.admin.resources.notification_emails import NotificationEmails
from daemon.admin.resources.origin_change import require_secrets_again
from daemon.admin.resources.webhook_limits import WebhookQuota
from daemon.admin.resources.webhook_scopes import allowed_scope, is_hidden
from daemon.admin.resources.webhook_secrets import (
    SECRET_MEMBERS,
    changed_secrets,
    new_secrets,
    usable_certificate,
)
from daemon.admin.resources.webhook_settings import (
    changed_settings,
    check_settings,
    given_members,
    new_settings,
)
from daemon.admin.resources.webhook_stats import summaries
from daemon.admin.views.webhooks import (
    created_webhook_response,
    type_warnings,
    webhook_response,
    webhooks_response,
)
from daemon.core.model.delivery_options import DEFAULT_OPTIONS
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.operational_events import WebhookScope
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.runtime.offload import Offload
from daemon.secrets.encryption import Vault
from daemon.secrets.new_secret import new_secret
from daemon.store import email_confirmations, tenants, webhook_limits, webhook_scopes, webhooks
from daemon.store.database import Database
from daemon.store.delivery_options import set_options
from daemon.store.session import Connection
from daemon.store.webhooks import NoSuchTenantError


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Operations on webhooks."""

    database: Database
    vault: Vault
    policy: EgressPolicy
    emails: NotificationEmails
    quota: WebhookQuota
    offload: Offload
    schedules: AbstractSet[str]

    @operation(
        "POST /api/webhooks",
        operation_id="createWebhook",
        tag="Webhooks",
        summary="Create a webhook",
        description=(
            "A tenant may have a limited number of webhooks, in all and at one host. `dryRun` only"
            " checks the settings."
        ),
        body=schemas.CreateWebhookRequest,
        responses={
            200: ("Dry run: the settings can be used.", schemas.WebhookCheck),
            201: ("The webhook. Its secret is shown only once.", schemas.CreatedWebhook),
        },
        problems=(409, 429),
        dry_run=True,
        links={
            "retrieve": Link("retrieveWebhook"),
            "update": Link("updateWebhook"),
            "test": Link("sendTestEvent"),
            "deliveries": Link("listWebhookDeliveries"),
        },
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """
        Raises Problem: 403 for a scope that tenants may not set, 404 for an unknown tenant, 409
        when it has as many webhooks as it may, 422 for settings that cannot be used, 429 at the
        limits of mails that ask for confirmation, and of webhooks that are replaced.
        """
        body: schemas.CreateWebhookRequest = request.body
        scope = allowed_scope(body.scope, request.caller)
        settings, given = new_settings(body), given_members(body)
        check_settings(settings, self.policy)
        secret = new_secret()
        client = await usable_certificate(
            body.client_certificate, self.offload, tenant_id=request.tenant_id
        )
        secrets = new_secrets(body, secret, self.vault, client=client)
        if body.dry_run:
            return await self._checked(request, settings, given, scope=scope)
        try:
            webhook = await self._insert(request, settings, secrets, given, scope=scope)
        except NoSuchTenantError:
            raise not_found("tenant") from None
        shown = created_webhook_response(
            *(webhook, self.vault, self.emails.allowed), schedules=self.schedules, secret=secret
        )
        return ApiResponse(201, shown)

    async def _insert(
        self,
        request: ApiRequest,
        settings: WebhookSettings,
        secrets: StoredSecrets,
        given: Mapping[str, Any],
        *,
        scope: WebhookScope | None,
    ) -> WebhookEntry:
        """Raises Problem (409, 429) as `create` does; NoSuchTenantError."""
        body: schemas.CreateWebhookRequest = request.body
        locks = _locks(request.tenant_id, given.keys() | {"endpoint_url"})
        async with self.database.locked(*locks) as db:
            if scope is not WebhookScope.OPERATOR:
                await self.quota.check_new(db, request.tenant_id, settings.endpoint_url)
            webhook = await webhooks.insert(
                db, request.tenant_id, settings, secrets, is_active=body.is_active
            )
            webhook = await self._with_options(db, webhook, given, scope=scope, by=request.caller)
            webhook = await self.emails.record(db, webhook, body.notification_email)
            await request.audit.write(db, created=webhook.id)
        return webhook

    async def _checked(
        self,
        request: ApiRequest,
        settings: WebhookSettings,
        given: Mapping[str, Any],
        *,
        scope: WebhookScope | None,
    ) -> ApiResponse:
        """Check what else could be wrong with a new webhook. Raises Problem as `create` does."""
        changed_options(given, DEFAULT_OPTIONS, schedules=self.schedules)
        async with self.database.connection() as db:
            if await tenants.exists(db, request.tenant_id) is False:
                raise not_found("tenant")
            if scope is not WebhookScope.OPERATOR:
                await self.quota.count_new(db, request.tenant_id, settings.endpoint_url)
        warnings = list(type_warnings(settings, scope or WebhookScope.EVENTS))
        return ApiResponse(200, schemas.WebhookCheck(warnings=warnings))

    @operation(
        "GET /api/webhooks",
        operation_id="listWebhooks",
        tag="Webhooks",
        summary="List webhooks",
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
            found = await webhooks.list_page(
                *(db, tenant_id),
                after=after,
                limit=query.limit + 1,
                state=query.state,
                search=query.search,
                trouble_first=query.sort == "trouble",
                for_operators=request.caller.is_operator,
            )
            # Without this check, a wrong X-Tenant-ID would look like a tenant without webhooks.
            if not found and await tenants.exists(db, tenant_id) is False:
                raise not_found("tenant")
            page = found[: query.limit]
            ids = [each.id for each in page if query.include is not None]
            hourly = query.include == "hourly"
            stats = await summaries(db, ids, hourly=hourly) if ids else {}
        next_id = str(page[-1].id) if len(found) > query.limit else None
        shown = await webhooks_response(
            *(page, self.vault, self.emails.allowed),
            schedules=self.schedules,
            stats=stats,
            next_id=next_id,
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
        webhook_id = WebhookId(request.id)
        async with self.database.locked(*_locks(request.tenant_id, changes.keys())) as db:
            webhook = await _lock(db, request)
            settings = changed_settings(webhook.settings, changes)
            check_settings(settings, self.policy)
            require_secrets_again(webhook.secrets, changes)
            await self.quota.check_move(
                *(db, request.tenant_id),
                old_url=webhook.settings.endpoint_url,
                new_url=settings.endpoint_url,
            )
            if SECRET_MEMBERS & changes.keys():
                secrets = changed_secrets(webhook.secrets, changes, self.vault)
                await webhooks.update_secrets(db, secrets)
            active = changes.get("is_active", webhook.is_active)
            if active != webhook.is_active:
                await webhooks.set_active(db, request.tenant_id, webhook_id, active=active)
            if "notification_email" in changes:
                await self.emails.change(db, webhook, settings.notification_email)
            await self._with_options(db, webhook, changes, scope=scope, by=request.caller)
            webhook = await webhooks.update_settings(db, webhook_id, settings)
            await request.audit.write(db)
        return ApiResponse(200, self._shown(webhook))

    async def _changes(self, request: ApiRequest) -> dict[str, Any]:
        """The members to change. Raises Problem (422) for a certificate that cannot be used."""
        changes = given_members(request.body)
        if "client_certificate" in changes:
            given = changes["client_certificate"]
            changes["client_certificate"] = await usable_certificate(
                given, self.offload, tenant_id=request.tenant_id
            )
        return changes

    async def _with_options(
        self,
        db: Connection,
        webhook: WebhookEntry,
        given: Mapping[str, Any],
        *,
        scope: WebhookScope | None,
        by: Caller,
    ) -> WebhookEntry:
        """Store the scope and the options that are given, for a webhook that is locked or new."""
        if scope is not None:
            await webhook_scopes.set_scope(db, webhook.id, scope, made_by=by.actor.name)
            webhook = replace(webhook, scope=scope)
        options = changed_options(given, webhook.options, schedules=self.schedules)
        if options is None:
            return webhook
        await set_options(db, webhook.id, options)
        return replace(webhook, options=options)

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


def _locks(tenant_id: TenantId, members: AbstractSet[str]) -> list[str]:
    """The locks that a request with these members may need, before it locks rows."""
    names = {
        "notification_email": email_confirmations.lock_name(tenant_id),
        "endpoint_url": webhook_limits.lock_name(tenant_id),
    }
    return [name for member, name in names.items() if member in members]
