"""Webhooks: create one, or only check its settings."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import not_found
from daemon.admin.resources.delivery_options import changed_options, store_options
from daemon.admin.resources.notification_emails import NotificationEmails
from daemon.admin.resources.webhook_limits import WebhookQuota
from daemon.admin.resources.webhook_locks import lock_names
from daemon.admin.resources.webhook_scopes import allowed_scope, store_scope
from daemon.admin.resources.webhook_secrets import new_secrets, usable_certificate
from daemon.admin.resources.webhook_settings import check_settings, given_members, new_settings
from daemon.admin.views.webhooks import created_webhook_response, type_warnings
from daemon.core.model.delivery_options import DEFAULT_OPTIONS
from daemon.core.model.operational_events import WebhookScope
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.runtime.offload import Offload
from daemon.secrets.encryption import Vault
from daemon.secrets.new_secret import new_secret
from daemon.store import tenants, webhooks
from daemon.store.database import Database
from daemon.store.webhooks import NoSuchTenantError

LINKS = {
    "retrieve": Link("retrieveWebhook"),
    "update": Link("updateWebhook"),
    "test": Link("sendTestEvent"),
    "deliveries": Link("listWebhookDeliveries"),
}


@dataclass(frozen=True, slots=True)
class WebhookCreation:
    """Creates webhooks."""

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
        links=LINKS,
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
        locks = lock_names(request.tenant_id, given.keys() | {"endpoint_url"})
        async with self.database.locked(*locks) as db:
            if scope is not WebhookScope.OPERATOR:
                await self.quota.check_new(db, request.tenant_id, settings.endpoint_url)
            webhook = await webhooks.insert(
                db, request.tenant_id, settings, secrets, is_active=body.is_active
            )
            if scope is not None:
                webhook = await store_scope(db, webhook, scope, by=request.caller)
            webhook = await store_options(db, webhook, given, schedules=self.schedules)
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
