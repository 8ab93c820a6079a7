"""The ways into the demo's console: a link for a tenant's people, and an operator's token."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

from pydantic import SecretStr

from daemon.config import OperatorToken
from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId, TokenId
from daemon.store import portal_links
from daemon.store.session import Connection

OPERATOR = "demo"
LIFETIME = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ConsoleAccess:
    """`link` lets the first tenant's people in, once; `token` signs an operator in at `url`."""

    url: str
    link: str
    token: str


def new_operator() -> OperatorToken:
    """An operator with a fresh token, who may do everything."""
    return OperatorToken(name=OPERATOR, token=SecretStr(f"demo-{secrets.token_urlsafe(12)}"))


async def open_console(
    db: Connection, operator: OperatorToken, tenant_id: TenantId, *, daemon_url: str
) -> ConsoleAccess:
    """Create a portal link of this tenant."""
    code, url = secrets.token_urlsafe(24), f"{daemon_url}/console"
    async with db.transaction():
        await portal_links.insert(
            db,
            TokenId(uuid4()),
            tenant_id=tenant_id,
            webhook_id=None,
            scope=Scope.FULL,
            theme=None,
            code_hash=sha256(code.encode()).digest(),
            created_by=operator.name,
            lifetime=LIFETIME,
        )
    return ConsoleAccess(url, f"{url}/enter#{code}", operator.token.get_secret_value())
