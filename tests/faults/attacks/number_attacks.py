"""Attacks by numbers: of events, of webhooks, of pending deliveries."""

import asyncio
import sys
from functools import partial
from uuid import UUID

import orjson

from tests.faults.attacks.scene import Scene
from tests.support.application import SECRET
from tests.support.daemons import until

MAX_ADDED_CPU_MS = 1.0
# Nothing may correct the statistics while the attack lasts.
ANALYZE_EMPTY_INBOX = """
    ALTER TABLE webhook_event_inbox SET (autovacuum_enabled = false);
    ANALYZE webhook_event_inbox;
"""
PAUSE = """
    UPDATE webhooks SET is_active = false
     WHERE id IN (SELECT id FROM webhooks WHERE tenant_id = $1 LIMIT $2)
"""
LIST_TYPES = """
    UPDATE webhooks SET event_types = $2::text[] || '{email.opened}'
     WHERE id IN (SELECT DISTINCT ON (tenant_id) id FROM webhooks
                   WHERE tenant_id = ANY ($1::uuid[]) ORDER BY tenant_id, id)
"""
CHANGE_FILTERS = """
    UPDATE webhooks SET event_filters = event_filters || '{"event_types": []}'
     WHERE id IN (SELECT DISTINCT ON (tenant_id) id FROM webhooks
                   WHERE tenant_id = ANY ($1::uuid[]) ORDER BY tenant_id, id)
"""
# Without the foreign key's checks, and with ids that ascend: both only save time.
ADD_PENDING = """
    SET session_replication_role = replica;
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload,
                                    event_created_at, status, next_retry_at)
    SELECT lpad(to_hex(row_number() OVER ()), 32, '0')::uuid, id, md5(event::text)::uuid,
           'email.opened', '{"email_id": "msg_1"}', now(), 'pending_retry',
           now() + CASE WHEN is_active AND event > 1 THEN interval '1 day' ELSE interval '0' END
      FROM generate_series(1, 100) AS event, (SELECT id, is_active FROM webhooks
                                               WHERE name = 'attacker' ORDER BY id) AS webhook;
    SET session_replication_role = DEFAULT;
"""

PUBLISH_FOR_MANY = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data)
    SELECT gen_random_uuid(), gen_random_uuid(), 'email.opened', '{}' FROM generate_series(1, $1)
"""
ADD_TENANTS_WITH_A_WEBHOOK = """
    WITH added AS (
        INSERT INTO tenants (id) SELECT gen_random_uuid() FROM generate_series(1, $1) RETURNING id
    )
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)
    SELECT gen_random_uuid(), id, 'attacker', ($2::text[])[row_number() OVER () % 60 + 1], $3
      FROM added
"""
PUBLISH_TO_EACH = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data)
    SELECT gen_random_uuid(), tenant_id, 'email.opened', '{}'
      FROM webhooks WHERE name = 'attacker'
"""
ADD_WEBHOOKS_BY_ID = """
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)
    SELECT id, $2, 'attacker', ($3::text[])[number % 60 + 1], $4
      FROM unnest($1::uuid[]) WITH ORDINALITY AS webhook (id, number)
"""
ADD_RETRY_TO_EACH = """
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload,
                                    attempt_number, status, next_retry_at)
    SELECT gen_random_uuid(), id, gen_random_uuid(), 'email.opened', '{}', 2, 'pending_retry', now()
      FROM webhooks WHERE name = 'attacker'
"""


async def many_events(scene: Scene, *, events: int = 100_000) -> None:
    """Events of one tenant in one transaction, for one quick endpoint."""
    tenant = await scene.tenant(scene.endpoints.urls("quick", 1))
    await scene.measure_alone()
    async with scene.attack():
        await scene.publish(tenant, count=events)


async def many_tenants(scene: Scene, *, events: int = 100_000) -> None:
    """Events in one transaction, each of another tenant, of which there is none."""
    await scene.measure_alone()
    async with scene.attack():
        await scene.app.db.execute(PUBLISH_FOR_MANY, events)


async def new_tenants(scene: Scene, *, tenants: int = 40_000) -> None:
    """Events in one transaction, each of another tenant, whose webhook has never had any."""
    await _add_tenants_with_a_webhook(scene, tenants)
    await scene.measure_alone()
    async with scene.attack():
        await scene.app.db.execute(PUBLISH_TO_EACH)


async def retries_of_many(scene: Scene, *, tenants: int = 20_000) -> None:
    """A retry of each of these tenants is due at one moment, as after an outage of all of them."""
    await _add_tenants_with_a_webhook(scene, tenants)
    await scene.measure_alone()
    async with scene.attack():
        await scene.app.db.execute(ADD_RETRY_TO_EACH)


async def one_hash(scene: Scene, *, webhooks: int = 10_000) -> None:
    """Webhooks of one tenant whose ids have one hash in Python, and a retry due for each."""
    ids = [UUID(int=1 + number * sys.hash_info.modulus) for number in range(webhooks)]
    urls = scene.endpoints.urls("quick", 60, addresses=60)
    tenant = await scene.app.tenant()
    await scene.app.db.execute(ADD_WEBHOOKS_BY_ID, ids, tenant, urls, SECRET)
    await scene.measure_alone()
    async with scene.attack():
        await scene.app.db.execute(ADD_RETRY_TO_EACH)


async def _add_tenants_with_a_webhook(scene: Scene, tenants: int) -> None:
    urls = scene.endpoints.urls("quick", 60, addresses=60)
    await scene.app.db.execute(ADD_TENANTS_WITH_A_WEBHOOK, tenants, urls, SECRET)


async def empty_statistics(scene: Scene, *, events: int = 40_000) -> None:
    """Events in one transaction, after the inbox was analysed while it was empty."""
    tenant = await scene.tenant(scene.endpoints.urls("quick", 1))
    await scene.measure_alone()
    await scene.app.db.execute(ANALYZE_EMPTY_INBOX)
    async with scene.attack():
        await scene.publish(tenant, count=events)


async def many_webhooks(scene: Scene, *, webhooks: int = 10_000) -> None:
    """One event for all webhooks of one tenant, which are quick."""
    tenant = await scene.tenant(scene.endpoints.urls("quick", webhooks, addresses=60))
    await scene.measure_alone()
    async with scene.attack():
        await scene.publish(tenant)


async def many_filters(scene: Scene, *, webhooks: int = 10_000, per_second: int = 50) -> None:
    """
    Webhooks of one tenant with a data filter each; every event matches three.

    What the number of filters costs in CPU is the difference to a tenant that has only the webhooks
    that match: their deliveries are the same.
    """
    events = round(scene.attack_seconds / 2 * per_second)
    few, many = [
        await scene.tenant(
            scene.endpoints.urls("quick", count),
            filters=[campaign_filter(number // 3) for number in range(count)],
        )
        for count in (3 * events, webhooks)
    ]
    data = [campaign(number) for number in range(events)]
    await scene.measure_alone()
    async with scene.attack():
        for tenant in (few, many):  # what loading the filters costs is paid once
            await scene.publish(tenant, campaign(0))
        await until(partial(scene.delivered, [few, many], 6))
        beside_few = await cpu_ms_per_event(scene, few, data, per_second)
        beside_many = await cpu_ms_per_event(scene, many, data, per_second)
    scene.notes.append(
        f"an event took {beside_many:.2f} ms of the daemon's CPU with its three deliveries,"
        f" and {beside_few:.2f} ms for a tenant with {3 * events} webhooks"
    )
    added = beside_many - beside_few
    if added > MAX_ADDED_CPU_MS:
        scene.broken.append(f"{added:.1f} of {MAX_ADDED_CPU_MS:.0f} ms of CPU added to an event")


async def large_filters(scene: Scene, *, webhooks: int = 500, tenants: int = 3) -> None:
    """
    Webhooks of several tenants with filters of almost 16 KiB; one of each lists 100 types.

    They take more memory than is kept for a tenant, and the one with types changes all the time.
    """
    owners = [
        await scene.tenant(
            scene.endpoints.urls("quick", webhooks),
            filters=[large_filter(number) for number in range(webhooks)],
        )
        for _ in range(tenants)
    ]
    await scene.measure_alone()
    async with scene.attack():
        await scene.app.db.execute(LIST_TYPES, owners, [f"type.{n}" for n in range(99)])
        for _ in range(round(scene.attack_seconds * 2)):
            await scene.app.db.execute(CHANGE_FILTERS, owners)
            for tenant in owners:
                await scene.publish(tenant, '{"workspace_id": "none"}')
            await asyncio.sleep(0.5)


def large_filter(number: int) -> str:
    """Return a filter of 16 KiB with 1,860 values."""
    values = [f"{number % 10}{value:02x}" for value in range(650)]
    paths = {f"path_{at}": values[at : at + 80] for at in range(7)}
    return orjson.dumps({"workspaces": values, "campaign_ids": values, "filters": paths}).decode()


def campaign(number: int) -> str:
    """Return the data of an event of this campaign."""
    return orjson.dumps({"email_id": "msg_1", "campaign": f"camp_{number}"}).decode()


def campaign_filter(number: int) -> str:
    """Return a filter for the events of this campaign."""
    return orjson.dumps({"filters": {"campaign": f"camp_{number}"}}).decode()


async def cpu_ms_per_event(scene: Scene, tenant: UUID, data: list[str], per_second: int) -> float:
    """Publish the events at this rate; return the daemon's CPU time for each, with all it does."""
    before = scene.daemon_cpu_seconds()
    await scene.publish_steadily(tenant, data, every=1 / per_second)
    await asyncio.sleep(0.2)  # the last ones' deliveries
    return (scene.daemon_cpu_seconds() - before) * 1000 / len(data)


async def pending_deliveries(scene: Scene, *, webhooks: int = 10_000, paused: int = 1000) -> None:
    """
    A hundred pending deliveries for each webhook of 100 tenants.

    One is due at once and the rest tomorrow; those of paused webhooks are all due.
    """
    urls = scene.endpoints.urls("quick", webhooks, addresses=60)
    for number in range(100):
        tenant = await scene.tenant(urls[number::100])
        await scene.app.db.execute(PAUSE, tenant, paused // 100)
    await scene.measure_alone()
    await scene.app.db.execute(ADD_PENDING)
    async with scene.attack():
        pass
