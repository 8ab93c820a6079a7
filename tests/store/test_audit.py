"""The audit is append-only: the rights that it takes do not include changing a record."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from daemon.core.model.audit import Actor, ActorKind, AuditRecord
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import TenantId
from daemon.store import audit, erasure_access, listing, privileges, tenant_tokens
from daemon.store.audit import AuditFilter
from daemon.store.session import prepare
from tests.support.aged_rows import stored_records
from tests.support.application import Application

RECORD = AuditRecord(
    action="deleteWebhook",
    actor=Actor(ActorKind.OPERATOR, "ops"),
    peer="192.0.2.1",
    tenant_id=TenantId(uuid4()),
    object_type="webhook",
    object_id=uuid4(),
    status=204,
)


@pytest.fixture
async def daemon_role(app: Application, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a role with exactly the rights on the audit that the daemon needs."""
    name = f"daemon_{uuid4().hex}"
    await app.db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    await app.db.execute(f"GRANT SELECT ON webhooks TO {name}")
    for table in ("webhook_audit", "webhook_tenant_tokens", "webhook_portal_links"):
        needed = ", ".join(privileges.NEEDED[table])
        await app.db.execute(f"GRANT {needed} ON {table} TO {name}")
    url = urlsplit(database)
    connection = await asyncpg.connect(
        host=url.hostname, port=url.port, user=name, password="secret", database=url.path[1:]
    )
    await prepare(connection)
    yield connection
    await connection.close()
    await app.db.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_the_daemon_needs_no_right_to_change_a_record(
    app: Application, daemon_role: asyncpg.Connection
) -> None:
    tenant = TenantId(uuid4())
    await stored_records(app, tenant, 3)
    await audit.insert(daemon_role, RECORD)

    deleted = await audit.delete_expired(daemon_role, older_than=timedelta(days=1), limit=2)
    erased = await erasure_access.erase_records(daemon_role, tenant, limit=10)
    await tenant_tokens.delete_expired(daemon_role, older_than=timedelta(0), limit=10)
    [entry], _ = await audit.list_records(daemon_role, AuditFilter(), before=Cursor(), limit=10)

    assert (deleted, erased.erased.audit) == (2, 1)
    assert entry.record == RECORD
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await daemon_role.execute("UPDATE webhook_audit SET actor = 'somebody else'")


async def test_a_page_with_a_filter_reads_a_bounded_number_of_records_and_goes_on(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_ROWS_READ", 10)
    tenant = TenantId(uuid4())
    await stored_records(app, tenant, action="deleteWebhook")
    await stored_records(app, tenant, 25, at="now() - interval '1 h'")
    await prepare(app.db)
    found, pages = [], 0
    for selected in (AuditFilter(tenant, "deleteWebhook"), AuditFilter(None, "deleteWebhook")):
        before: Cursor | None = Cursor()
        while before is not None:
            page, before = await audit.list_records(app.db, selected, before=before, limit=5)
            found += page
            pages += 1

    assert [each.record.action for each in found] == ["deleteWebhook"] * 2
    assert pages == 6
