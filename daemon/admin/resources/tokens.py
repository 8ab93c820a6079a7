"""Tokens for tenants: an operator lends one, for a while, to whoever acts for a tenant."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from daemon.admin import schemas
from daemon.admin.api.auth import Access
from daemon.admin.api.operation import Call, Operation, Reply
from daemon.admin.api.problems import not_found
from daemon.core.model.ids import TenantId
from daemon.store import webhooks
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class TokenDesk:
    """What is done with tokens."""

    database: Database
    access: Access

    def operations(self) -> list[Operation]:
        return [
            Operation(
                *("POST", "/api/tenant-tokens", "addTenantToken", "Tokens"),
                summary="Make a short-lived token for one tenant",
                description="Operators only. It ends by itself, and with the operator's token.",
                handle=self.add,
                body=schemas.NewTenantToken,
                replies={201: ("The token, shown this once.", schemas.TenantTokenMade)},
                problems=(413, 415),
                operator_only=True,
            )
        ]

    async def add(self, call: Call) -> Reply:
        body: schemas.NewTenantToken = call.body
        async with self.database.connection() as db:
            if not await webhooks.tenant_exists(db, TenantId(body.tenant_id)):
                raise not_found("tenant")
        lifetime = timedelta(seconds=body.expires_in)
        token = self.access.tenant_token(body.tenant_id, lifetime=lifetime)
        expires_at = datetime.fromtimestamp(token.expires_at, UTC)
        return Reply(
            201,
            schemas.TenantTokenMade(
                token=token.text, tenant_id=body.tenant_id, expires_at=expires_at
            ),
        )
