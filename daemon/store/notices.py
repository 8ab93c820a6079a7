"""What the administrator is to be told; written in the transaction that makes it true."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.model import NoticeKind, TenantId, WebhookId
from daemon.store.database import Connection


@dataclass(frozen=True, slots=True)
class Notice:
    """One transition of one endpoint; `data` is a JSON object with its circumstances."""

    tenant_id: TenantId
    webhook_id: WebhookId
    kind: NoticeKind
    data: str


WRITE = """
    INSERT INTO webhook_notices (tenant_id, webhook_id, kind, data)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]::jsonb[])
"""


async def write(db: Connection, notices: Sequence[Notice]) -> None:
    await db.execute(
        WRITE,
        [n.tenant_id for n in notices],
        [n.webhook_id for n in notices],
        [n.kind.value for n in notices],
        [n.data for n in notices],
    )
