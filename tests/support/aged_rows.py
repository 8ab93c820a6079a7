"""Insert rows of any age and state, for tests of retention and erasure."""

from uuid import UUID, uuid4

from tests.support.application import Application

# SQL expressions.
OLD = "now() - interval '400 days'"
YOUNG = "now() - interval '6 days'"
NOW = "now()"


async def stored_event(
    app: Application, tenant: UUID, *, at: str = OLD, data: str | None = "{}", waiting: bool = False
) -> UUID:
    """Insert an event published at `at` (SQL), fanned out unless `waiting`; return its id."""
    event_id = uuid4()
    await app.db.execute(
        "INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)"
        f" VALUES ($1, $2, 'email.opened', $3, {at})",
        event_id,
        tenant,
        data,
    )
    if not waiting:
        await app.db.execute("DELETE FROM webhook_event_inbox WHERE event_id = $1", event_id)
    return event_id


async def stored_delivery(
    app: Application, webhook: UUID, *, at: str = OLD, status: str = "success", **columns: object
) -> UUID:
    """Insert a delivery attempted at `at` (SQL); `columns` override the defaults."""
    values: dict[str, object] = {
        "id": uuid4(),
        "webhook_id": webhook,
        "event_id": uuid4(),
        "payload": "{}",
        "status": status,
        "response_body": "OK",
        **columns,
    }
    parameters = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    # Due in a day, so that a running daemon does not send it. The daemon's rows have the event's
    # time, too.
    defaults = {"next_retry_at": "now() + interval '1 day'", "event_created_at": "now()"}
    defaults = {name: value for name, value in defaults.items() if name not in columns}
    await app.db.execute(
        f"INSERT INTO webhook_deliveries ({', '.join([*values, 'attempted_at', *defaults])})"
        f" VALUES ({', '.join([parameters, at, *defaults.values()])})",
        *values.values(),
    )
    return UUID(str(values["id"]))


async def many_deliveries(
    app: Application, webhook: UUID, count: int, *, at: str = OLD, status: str = "success"
) -> None:
    """Insert `count` deliveries in one statement; `at` (SQL) may depend on their number, `n`."""
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, payload, status, attempted_at,"
        " event_created_at, next_retry_at)"
        f" SELECT $1, gen_random_uuid(), '{{}}', $3, {at}, now(), now() + interval '1 day'"
        " FROM generate_series(1, $2::int) AS n",
        webhook,
        count,
        status,
    )


async def many_events(app: Application, tenant: UUID, count: int, *, at: str = OLD) -> None:
    """Insert `count` events, already fanned out; `at` (SQL) may depend on their number, `n`."""
    await app.db.execute(
        "INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)"
        f" SELECT gen_random_uuid(), $1, 'email.opened', '{{}}', {at}"
        " FROM generate_series(1, $2::int) AS n",
        tenant,
        count,
    )
    await app.db.execute("TRUNCATE webhook_event_inbox")


async def stored_notice(app: Application, webhook: UUID, *, at: str = OLD) -> None:
    await app.db.execute(
        "INSERT INTO webhook_notices (tenant_id, webhook_id, kind, data, created_at)"
        f" SELECT tenant_id, id, 'webhook_failing', '{{}}', {at} FROM webhooks WHERE id = $1",
        webhook,
    )


async def stored_replay(
    app: Application, webhook: UUID, *, at: str = OLD, finished: str = OLD, status: str
) -> UUID:
    replay_id = uuid4()
    await app.db.execute(
        "INSERT INTO webhook_replays (id, tenant_id, webhook_id, source, from_time, to_time,"
        " status, total, created_at, finished_at)"
        f" SELECT $2, tenant_id, id, 'events', now(), now(), $3, 0, {at}, {finished}"
        " FROM webhooks WHERE id = $1",
        webhook,
        replay_id,
        status,
    )
    return replay_id


async def stored_confirmation(
    app: Application, tenant: UUID, address: str, *, used: str = NOW
) -> None:
    """Insert a request to confirm an address, last used at `used` (SQL)."""
    await app.db.execute(
        "INSERT INTO webhook_email_confirmations (tenant_id, address, mailbox, used_at)"
        f" VALUES ($1, $2, $2, {used})",
        tenant,
        address,
    )


async def stored_records(
    app: Application, tenant: UUID, count: int = 1, *, at: str = OLD, action: str = "updateWebhook"
) -> None:
    await app.db.execute(
        "INSERT INTO webhook_audit (tenant_id, actor_kind, actor, action, at)"
        f" SELECT $1, 'operator', 'ops', $3, {at} FROM generate_series(1, $2)",
        tenant,
        count,
        action,
    )


async def stored_token(app: Application, tenant: UUID, *, expires: str = "'infinity'") -> UUID:
    token_id = uuid4()
    await app.db.execute(
        "INSERT INTO webhook_tenant_tokens (id, tenant_id, scope, created_by, expires_at)"
        f" VALUES ($1, $2, 'full', 'ops', {expires})",
        token_id,
        tenant,
    )
    return token_id


async def stored_link(app: Application, tenant: UUID, *, expires: str = "'infinity'") -> UUID:
    """Insert a portal link that somebody has entered."""
    link_id = uuid4()
    await app.db.execute(
        "INSERT INTO webhook_portal_links (id, tenant_id, scope, code_hash, created_by, entered_at,"
        f" expires_at) VALUES ($1, $2, 'read', $3, 'ops', now(), {expires})",
        *(link_id, tenant, link_id.bytes),
    )
    return link_id


async def stored_session(app: Application, *, expires: str) -> UUID:
    """Insert an operator's session of the console."""
    session_id = uuid4()
    await app.db.execute(
        "INSERT INTO webhook_operator_sessions (id, operator, expires_at)"
        f" VALUES ($1, 'ops', {expires})",
        session_id,
    )
    return session_id


async def stored_key(app: Application, tenant: UUID, *, at: str = NOW) -> None:
    """Insert an idempotency key whose request was answered."""
    await app.db.execute(
        "INSERT INTO webhook_idempotency_keys (caller, key_hash, tenant_id, claim_id,"
        " claimed_until, fingerprint, performed, status, answer, answer_bytes, created_at)"
        f" VALUES ($1, $2, $3, $4, now(), 'sealed', true, 200, 'sealed', 6, {at})",
        *(f"tenant:{tenant}", uuid4().bytes, tenant, uuid4()),
    )


async def ids_in(app: Application, table: str) -> set[UUID]:
    return {row["id"] for row in await app.db.fetch(f"SELECT id FROM {table}")}


async def count_in(app: Application, table: str) -> int:
    return int(await app.db.fetchval(f"SELECT count(*) FROM {table}"))
