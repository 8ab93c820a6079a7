"""
Former states of webhooks; a trigger on `webhooks` writes them (migration 0017).

The present state is in `webhooks`: a webhook that never changed has no history.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.erasure import ErasureCounts
from daemon.core.model.explanations import ExplainedWebhook, WebhookVersion
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.operational_events import WebhookScope
from daemon.store.erasure import ErasureStep
from daemon.store.expired_rows import delete_rows
from daemon.store.session import Connection
from daemon.store.webhook_columns import event_types, filters_text, paused_reason

# The trigger keeps at most one hundred.
MOST_VERSIONS = 101

LIST_VERSIONS = f"""
    SELECT version.*
      FROM pg_catalog.unnest($1::uuid[]) AS webhook (id)
     CROSS JOIN LATERAL (
            -- A range of keys, because only one index can serve that.
            SELECT webhook_id, id, since, until, is_active, {paused_reason("h")}, event_types,
                   event_filters, deleted
              FROM webhook_history AS h
             WHERE (webhook_id, until) <= (webhook.id, 'infinity'::timestamptz)
               AND (webhook_id, until) >= (webhook.id, '-infinity'::timestamptz)
               AND tenant_id = $2
             ORDER BY webhook_id DESC, until DESC, id DESC
             LIMIT $3) AS version
     ORDER BY version.webhook_id, version.until, version.id
"""  # noqa: S608  made of constants only
LIST_PRESENT = f"""
    SELECT w.id, w.name, w.scope, w.created_at, w.is_active, {paused_reason("w")}, w.paused_at,
           CASE WHEN w.is_active AND w.is_failing THEN w.next_probe_at END AS next_probe_at,
           {event_types("w")},
           {filters_text("w")}
      FROM webhooks AS w
     WHERE w.id = ANY ($1::uuid[]) AND w.tenant_id = $2
"""  # noqa: S608  made of constants only
RECORDED_SINCE = "SELECT applied_at FROM webhookd_migrations WHERE name = '0017_webhook_history'"


async def get(
    db: Connection, tenant_id: TenantId, webhook_id: WebhookId
) -> ExplainedWebhook | None:
    """Return a webhook with its past; None if the tenant has, and had, none of this id."""
    return (await get_each(db, tenant_id, [webhook_id])).get(webhook_id)


async def get_each(
    db: Connection, tenant_id: TenantId, webhook_ids: Sequence[WebhookId]
) -> dict[WebhookId, ExplainedWebhook]:
    """Return these webhooks with their past; those that the tenant never had are missing."""
    present = {row["id"]: row for row in await db.fetch(LIST_PRESENT, webhook_ids, tenant_id)}
    former: dict[WebhookId, list[WebhookVersion]] = {each: [] for each in webhook_ids}
    for row in await db.fetch(LIST_VERSIONS, webhook_ids, tenant_id, MOST_VERSIONS):
        former[row["webhook_id"]].append(_version(row))
    recorded_since = await db.fetchval(RECORDED_SINCE)
    return {
        webhook_id: _explained(webhook_id, present.get(webhook_id), versions, recorded_since)
        for webhook_id, versions in former.items()
        if webhook_id in present or (versions and versions[-1].deleted)
    }


def _explained(
    webhook_id: WebhookId, present: Any, former: list[WebhookVersion], recorded_since: datetime
) -> ExplainedWebhook:
    if present is not None:
        former += _present_versions(present, former[-1] if former else None, recorded_since)
    return ExplainedWebhook(
        id=webhook_id,
        name="" if present is None else present["name"],
        created_at=former[0].since if present is None else present["created_at"],
        versions=tuple(former),
        recorded_since=recorded_since,
        next_probe_at=None if present is None else present["next_probe_at"],
        scope=WebhookScope.EVENTS if present is None else present["scope"],
    )


LIST_DELETED = """
    SELECT webhook_id
      FROM webhook_history
     WHERE tenant_id = $1 AND deleted
     ORDER BY until DESC
     LIMIT $2
"""


async def deleted_ids(db: Connection, tenant_id: TenantId, *, limit: int) -> list[WebhookId]:
    """The ids of the webhooks of a tenant that were deleted last, as far as that is kept."""
    rows = await db.fetch(LIST_DELETED, tenant_id, limit)
    return [WebhookId(row["webhook_id"]) for row in rows]


def _version(row: Any) -> WebhookVersion:
    return WebhookVersion(
        since=row["since"],
        until=row["until"],
        is_active=row["is_active"],
        paused_reason=row["paused_reason"],
        event_types=_types(row["event_types"]),
        event_filters=row["event_filters"],
        deleted=row["deleted"],
    )


def _present_versions(
    row: Any, last: WebhookVersion | None, recorded_since: datetime
) -> list[WebhookVersion]:
    """The present version; before it, that of before a pause that is older than the history."""
    present = WebhookVersion(
        since=None if last is None else last.until,
        until=None,
        is_active=row["is_active"],
        paused_reason=row["paused_reason"],
        event_types=_types(row["event_types"]),
        event_filters=row["event_filters"],
    )
    if last is not None:
        return [present]
    created_at, paused_at = row["created_at"], row["paused_at"]
    if created_at is not None and created_at >= recorded_since:
        return [replace(present, since=created_at)]
    if present.is_active or paused_at is None:
        return [present]
    before = replace(present, until=paused_at, is_active=True, paused_reason=None)
    return [before, replace(present, since=paused_at)]


def _types(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


DELETE_EXPIRED = """
    DELETE FROM webhook_history
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_history
                            WHERE until < now() - $1::interval
                            ORDER BY until
                            LIMIT $2
                              FOR UPDATE SKIP LOCKED))
"""


async def delete_expired(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the versions that ended longest ago; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_EXPIRED, older_than, limit)


COUNT = "SELECT count(*) FROM webhook_history WHERE tenant_id = $1"


async def count(db: Connection, tenant_id: TenantId) -> ErasureCounts:
    """Count the versions of the tenant's webhooks, deleted ones included."""
    return ErasureCounts(versions=await db.fetchval(COUNT, tenant_id))


ERASE = """
    DELETE FROM webhook_history
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_history WHERE tenant_id = $1 LIMIT $2
                              FOR UPDATE SKIP LOCKED))
"""


async def erase(db: Connection, tenant_id: TenantId, *, limit: int) -> ErasureStep:
    """Erase up to `limit` versions; call again, in another transaction, until none remains."""
    deleted = int((await db.execute(ERASE, tenant_id, limit)).split()[-1])
    remaining = (await count(db, tenant_id)).versions
    return ErasureStep(ErasureCounts(versions=deleted), remaining)
