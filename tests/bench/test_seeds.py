"""The rows beside which live events are measured are as many, and in the states, as promised."""

from collections import Counter

import pytest

from tests.bench import seeds
from tests.bench.scenes import SCENES
from tests.bench.servers import Seed
from tests.bench.sizes import FULL, QUICK
from tests.support.application import Application

URL = "http://127.0.0.1:1"
STATES = """
    SELECT split_part(endpoint_url, '/', 4) AS kind, is_active, count(*),
           count(*) FILTER (WHERE next_retry_at <= now()) AS due
      FROM webhook_deliveries AS d JOIN webhooks AS w ON w.id = d.webhook_id
     WHERE status = 'pending_retry'
     GROUP BY 1, 2
"""
KINDS = "SELECT split_part(endpoint_url, '/', 4) FROM webhooks"


async def test_pending_deliveries_are_due_later_or_of_paused_or_slow_webhooks(
    app: Application,
) -> None:
    await seeds.million_pending(URL, QUICK)(app.db)

    found = {row["kind"]: row for row in await app.db.fetch(STATES)}
    assert found["later"]["due"] == 0
    assert found["paused"]["due"] == found["paused"]["count"] == 1500
    assert found["slow"]["due"] == found["slow"]["count"] == 500
    assert [found[kind]["is_active"] for kind in ("later", "paused", "slow")] == [True, False, True]
    assert sum(row["count"] for row in found.values()) == pytest.approx(QUICK.pending, rel=0.02)


def test_in_full_there_are_a_million_of_ten_thousand_endpoints() -> None:
    assert (FULL.pending, FULL.pending_endpoints) == (1_000_000, 10_000)
    assert FULL.pending_endpoints % seeds.PENDING_TENANTS == 0
    assert FULL.live_events >= 3000
    assert FULL.rounds >= 5


@pytest.mark.parametrize(
    ("seed", "kinds", "pending"),
    [
        (seeds.live_only(URL), {"live": 65}, 0),
        (seeds.hostile(URL, QUICK), {"live": 65, "hang": 30, "due": 1}, QUICK.due),
        (seeds.retry_storm(URL, QUICK), {"live": 65, "storm": 100}, QUICK.storm),
        (seeds.stored_events(URL, QUICK), {"live": 65, "replay": 1}, 0),
        (seeds.churned(URL), {"live": 65, "churn": 65}, 0),
    ],
)
async def test_each_scene_has_its_endpoints_and_its_backlog(
    app: Application, seed: Seed, kinds: dict[str, int], pending: int
) -> None:
    await seed(app.db)

    found = Counter(row[0] for row in await app.db.fetch(KINDS))
    assert found == kinds
    assert sum(row["count"] for row in await app.db.fetch(STATES)) == pending
    assert len(await seeds.tenants_of(app.db, "live")) == 65


async def test_events_to_replay_are_of_the_past_and_not_to_be_sent(app: Application) -> None:
    await seeds.stored_events(URL, QUICK)(app.db)

    stored = "SELECT count(*) FROM webhook_events WHERE created_at < now() - interval '1 hour'"
    assert await app.db.fetchval(stored) == QUICK.replay
    assert await app.db.fetchval("SELECT count(*) FROM webhook_event_inbox") == 0


def test_scenes_with_an_end_name_the_kind_of_their_seed() -> None:
    assert {name for name, scene in SCENES.items() if scene.backlog} == {"storm", "replay"}
