"""Webhooks: create, list, retrieve, update."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import Problem, not_found, require_found
from daemon.admin.resources.webhook_limits import WebhookQuota
from daemon.admin.resources.webhook_secrets import SECRET_MEMBERS, changed_secrets, new_secrets
from daemon.admin.resources.webhook_settings import (
    changed_settings,
    check_settings,
    given_members,
    new_settings,
)
from daemon.admin.views.webhooks import created_webhook_response, webhook_response
from daemon.core.model.ids import WebhookId
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.secrets.encryption import Vault
from daemon.secrets.new_secret import new_secret
from daemon.store import webhooks
from daemon.store.database import Database
from daemon.store.webhooks import NoSuchTenantError


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Operations on webhooks."""

    database: Database
    vault: Vault
    policy: EgressPolicy
    quota: WebhookQuota

    @operation(
        "POST /api/webhooks",
        operation_id="createWebhook",
        tag="Webhooks",
        summary="Create a webhook",
        description="A tenant may have a limited number of webhooks, in all and at one host.",
        body=schemas.CreateWebhookRequest,
        responses={201: ("The webhook. Its secret is shown only once.", schemas.CreatedWebhook)},
        problems=(409,),
        links={
            "retrieve": Link("retrieveWebhook"),
            "update": Link("updateWebhook"),
            "test": Link("sendTestEvent"),
            "deliveries": Link("listWebhookDeliveries"),
        },
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """
        Raises Problem: 404 for an unknown tenant, 409 when it has as many webhooks as it may, 422
        for settings that cannot be used.
        """
        body: schemas.CreateWebhookRequest = request.body
        settings = new_settings(body)
        check_settings(settings, self.policy)
        secret = new_secret()
        secrets = new_secrets(body, secret, self.vault)
        try:
            async with self.database.transaction() as db:
                await self.quota.check_new(db, request.tenant_id, settings.endpoint_url)
                webhook = await webhooks.insert(
                    db, request.tenant_id, settings, secrets, is_active=body.is_active
                )
        except NoSuchTenantError:
            raise not_found("tenant") from None
        return ApiResponse(201, created_webhook_response(webhook, secret))

    @operation(
        "GET /api/webhooks",
        operation_id="listWebhooks",
        tag="Webhooks",
        summary="List webhooks",
        query=schemas.WebhooksQuery,
        responses={200: ("A page of webhooks, sorted by name.", schemas.WebhookList)},
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown tenant or an unknown `after`."""
        query: schemas.WebhooksQuery = request.query
        tenant_id = request.tenant_id
        after = None if query.after is None else WebhookId(query.after)
        async with self.database.connection() as db:
            if after is not None and await webhooks.get(db, tenant_id, after) is None:
                raise Problem(404, "after: this tenant has no webhook with this id")
            found = await webhooks.list_by_name(db, tenant_id, after=after, limit=query.limit + 1)
            # Without this check, a wrong X-Tenant-ID would look like a tenant without webhooks.
            if not found and not await webhooks.tenant_exists(db, tenant_id):
                raise not_found("tenant")
        page = found[: query.limit]
        return ApiResponse(
            200,
            schemas.WebhookList(
                webhooks=[webhook_response(each) for each in page],
                next=str(page[-1].id) if len(found) > query.limit else None,
            ),
        )

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
        return ApiResponse(200, webhook_response(require_found(webhook, "webhook")))

    @operation(
        "PATCH /api/webhooks/{id}",
        operation_id="updateWebhook",
        tag="Webhooks",
        summary="Update a webhook",
        description="The changes apply from the next attempt on.",
        body=schemas.UpdateWebhookRequest,
        responses={200: ("The webhook.", schemas.Webhook)},
        problems=(409,),
    )
    async def update(self, request: ApiRequest) -> ApiResponse:
        """
        Raises Problem: 404 for an unknown webhook, 409 when its tenant may have no more webhooks at
        its new host, 422 for settings that cannot be used.
        """
        changes = given_members(request.body)
        webhook_id = WebhookId(request.id)
        async with self.database.transaction() as db:
            webhook = require_found(
                await webhooks.get_for_update(db, request.tenant_id, webhook_id), "webhook"
            )
            settings = changed_settings(webhook.settings, changes)
            check_settings(settings, self.policy)
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
            webhook = await webhooks.update_settings(db, webhook_id, settings)
        return ApiResponse(200, webhook_response(webhook))
