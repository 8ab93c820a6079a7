"""Counts of attempts: exact whatever is folded when, whatever is locked, deleted or late."""

import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.model.attempts import AttemptResult, FailureKind
from daemon.core.model.ids import WebhookId
from daemon.core.model.stats import StatsCounts
from daemon.core.outcomes.attempt_kinds import KINDS, kind_position
from daemon.core.outcomes.durations import BOUNDS_MS, duration_bucket
from daemon.core.outcomes.stats_range import HOURS_KEPT, MINUTES_KEPT, last_day, stats_range
from daemon.maintenance import stats_folding
from daemon.maintenance.stats_folding import StatsFolding
from daemon.store import stats, stats_batches
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.postgres import most_rows_read
from tests.support.results import attempt_result
from tests.support.retention import prune

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OUTCOMES = (
    *(200, 204, 301, 404, 500, 999),
    *(FailureKind.TIMEOUT, FailureKind.TLS, FailureKind.TOO_LARGE),
)
NOTHING = StatsCounts((0,) * len(KINDS), (0,) * len(BOUNDS_MS))
BATCHES = "SELECT count(*) FROM webhook_stats_batches"
FOLDED = "SELECT count(*) FROM webhook_stats"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def loop(pool: Database) -> StatsFolding:
    """A loop whose rounds follow one another."""
    return StatsFolding(pool, rest_seconds=0.0, settled_after=timedelta(0))


async def add(pool: Database, results: Iterable[AttemptResult]) -> None:
    """Count results in a transaction, as they are when they are stored."""
    async with pool.transaction() as db:
        await stats_batches.add_batch(db, results)


async def add_one(pool: Database, webhook: UUID, *, count: int = 1) -> None:
    """Count one success in each of so many transactions."""
    for _ in range(count):
        await add(pool, [attempt_result(200, webhook=webhook, began=now())])


async def counts(pool: Database, webhook: UUID, *, since: timedelta = DAY) -> StatsCounts:
    """The sum of all points."""
    async with pool.connection() as db:
        covered = stats_range(now() - since, None, now=now())
        counted = await stats.count(db, WebhookId(webhook), covered)
    assert counted.complete
    parts = [NOTHING, *counted.points.values()]
    return StatsCounts(
        tuple(map(sum, zip(*(each.kinds for each in parts), strict=True))),
        tuple(map(sum, zip(*(each.buckets for each in parts), strict=True))),
    )


async def delivered(pool: Database, webhook: UUID) -> int:
    return (await counts(pool, webhook)).kinds[0]


def expected(results: Iterable[AttemptResult], webhook: UUID) -> StatsCounts:
    kinds, buckets = Counter[int](), Counter[int]()
    for each in results:
        kind = kind_position(each)
        if each.claim.webhook_id == webhook and kind is not None:
            kinds[kind] += 1
            buckets[duration_bucket(each.outcome.took_ms)] += 1
    return StatsCounts(
        tuple(kinds[position] for position in range(len(KINDS))),
        tuple(buckets[position] for position in range(len(BOUNDS_MS))),
    )


def summed(counts: StatsCounts) -> StatsCounts:
    """The same, all failures as one kind."""
    delivered, *failed = counts.kinds
    none = [0] * (len(failed) - 1)
    return StatsCounts((delivered, sum(failed), *none), counts.buckets)


@pytest.mark.parametrize("seed", range(3))
async def test_counts_are_those_of_a_simple_model_whatever_is_folded_when(
    pool: Database, loop: StatsFolding, app: Application, tenant: UUID, seed: int
) -> None:
    chance = random.Random(seed)
    webhooks = [await app.webhook(tenant, "https://receiver.example/") for _ in range(4)]
    began, results = now(), list[AttemptResult]()

    def attempt() -> AttemptResult:
        return attempt_result(
            chance.choice(OUTCOMES),
            webhook=chance.choice(webhooks),
            took_ms=chance.choice((0, 1, 7, 100, 5000, 40_000)),
            began=began - chance.choice((0, 1, 61, 600)) * timedelta(seconds=1),
        )

    for _ in range(40):
        if chance.random() < 0.3:
            await loop.run_once()
        batch = [attempt() for _ in range(chance.choice((0, 1, 2, 30)))]
        await add(pool, batch)
        results += batch
        chosen = chance.choice(webhooks)
        assert await counts(pool, chosen, since=23 * HOUR) == expected(results, chosen)
        assert await counts(pool, chosen, since=3 * DAY) == expected(results, chosen)  # by hours
    await loop.run_once()
    async with pool.connection() as db:
        each = await stats.count_each(db, [WebhookId(w) for w in webhooks], last_day(now()))

    assert each == {webhook: {0: summed(expected(results, webhook))} for webhook in webhooks}
    assert await app.db.fetchval(BATCHES) == 0


async def test_an_attempt_counts_in_the_point_of_the_minute_in_which_it_began(
    pool: Database, loop: StatsFolding, webhook: UUID
) -> None:
    at = now().replace(second=30) - 40 * MINUTE
    await add(
        pool,
        [
            attempt_result(200, webhook=webhook, began=at - 10 * MINUTE),
            attempt_result(500, webhook=webhook, began=at),
            attempt_result(200, webhook=webhook, began=at + 10 * MINUTE),
        ],
    )

    async def points() -> dict[int, tuple[int, int]]:
        covered = stats_range(at - 5 * MINUTE, at + 5 * MINUTE, now=now())
        async with pool.connection() as db:
            counted = await stats.count(db, WebhookId(webhook), covered)
        return {number: (c.kinds[0], sum(c.kinds)) for number, c in counted.points.items()}

    assert await points() == {5: (0, 1)}
    await loop.run_once()
    assert await points() == {5: (0, 1)}


async def test_a_locked_webhook_s_counts_wait_and_others_do_not(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID
) -> None:
    other = await app.webhook(await app.tenant(), "https://receiver.example/")
    async with pool.transaction() as holder:
        await holder.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", webhook)
        both = [attempt_result(200, webhook=each, began=now()) for each in (webhook, other)]
        await add(pool, both)
        for _ in range(3):
            await loop.run_once()

        folded = await app.db.fetch("SELECT DISTINCT webhook_id FROM webhook_stats")
        assert [row["webhook_id"] for row in folded] == [other]
        assert [await delivered(pool, each) for each in (webhook, other)] == [1, 1]

    await loop.run_once()

    assert [await delivered(pool, each) for each in (webhook, other)] == [1, 1]
    assert await app.db.fetchval(BATCHES) == 0


async def test_a_webhook_s_stats_are_deleted_with_it_and_its_batches_dropped(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID
) -> None:
    await add_one(pool, webhook)
    await loop.run_once()
    await add_one(pool, webhook)

    await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)

    assert await app.db.fetchval(FOLDED) == 0
    await loop.run_once()
    assert (await app.db.fetchval(FOLDED), await app.db.fetchval(BATCHES)) == (0, 0)


async def test_one_daemon_at_a_time_folds(
    pool: Database,
    loop: StatsFolding,
    app: Application,
    webhook: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stats_folding, "WARN_AFTER_SECONDS", 0.0)
    await add_one(pool, webhook)
    async with pool.transaction() as other:
        await other.execute("SELECT FROM webhook_stats_progress FOR UPDATE")
        with capture_logs() as logs:
            await loop.run_once()
        assert await app.db.fetchval(FOLDED) == 0
        assert await delivered(pool, webhook) == 1

    await loop.run_once()

    assert [line["event"] for line in logs] == ["stats.locked_for_long"]
    assert await app.db.fetchval(FOLDED) == 2  # a minute and an hour


async def test_batches_that_were_folded_are_not_read_again(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID, database: str
) -> None:
    """An old transaction keeps their index entries, however many there are."""
    old = await asyncpg.connect(database)
    await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM webhooks")
    await add_one(pool, webhook, count=50)
    for _ in range(3):
        await loop.run_once()  # notes an id, settles it
    last = await app.db.fetchval("SELECT counted_up_to FROM webhook_stats_progress")
    await add_one(pool, webhook, count=5)
    covered = stats_range(None, None, now=now())
    arguments = ([webhook], 1, covered.since, covered.until, covered.width, 100, True)

    assert last == 50
    assert await most_rows_read(app.db, stats.COUNT, *arguments) <= 5
    assert await delivered(pool, webhook) == 55
    await old.close()


async def test_a_batch_of_a_transaction_that_was_open_is_folded_when_it_commits(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID
) -> None:
    """Also if it took longer than any should, and later ones are folded: by the next full round."""
    async with pool.transaction() as late:
        await stats_batches.add_batch(late, [attempt_result(200, webhook=webhook, began=now())])
        await add_one(pool, webhook)
        for _ in range(3):
            await loop.run_once()
        assert await app.db.fetchval("SELECT counted_up_to FROM webhook_stats_progress") == 2
    await loop.run_once()
    assert await delivered(pool, webhook) == 1

    restarted = StatsFolding(pool, rest_seconds=0.0)
    await restarted.run_once()

    assert await delivered(pool, webhook) == 2
    assert await app.db.fetchval(BATCHES) == 0


async def test_ids_that_a_standby_gives_again_are_counted_and_folded(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID
) -> None:
    """It had not received the last ones when it was promoted; that takes longer than a session."""
    await add_one(pool, webhook, count=50)
    await loop.run_once()
    async with pool.connection() as lost:
        lost.terminate()
    await app.db.execute("TRUNCATE webhook_stats, webhook_stats_batches RESTART IDENTITY")
    await app.db.execute("UPDATE webhook_stats_progress SET counted_up_to = 0, noted_id = 0")
    for _ in range(3):
        await add_one(pool, webhook)
        await loop.run_once()
    await add_one(pool, webhook)

    assert await delivered(pool, webhook) == 4
    await loop.run_once()
    assert await app.db.fetchval(BATCHES) == 0


async def test_a_backlog_is_folded_in_steps(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID
) -> None:
    await add_one(pool, webhook, count=stats_folding.SMALLEST_STEP + 5)

    first = await loop.run_once()
    assert await app.db.fetchval(BATCHES) == 5
    await loop.run_once()

    assert 0 < first <= 10
    assert await app.db.fetchval(BATCHES) == 0
    assert await delivered(pool, webhook) == stats_folding.SMALLEST_STEP + 5


async def test_a_query_reads_so_many_batches_and_says_that_there_are_more(
    pool: Database, loop: StatsFolding, webhook: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "MOST_BATCHES_READ", 3)
    await add_one(pool, webhook, count=4)
    covered = stats_range(None, None, now=now())
    async with pool.connection() as db:
        counted = await stats.count(db, WebhookId(webhook), covered)
    assert not counted.complete
    assert sum(each.kinds[0] for each in counted.points.values()) == 3

    await loop.run_once()

    assert await delivered(pool, webhook) == 4


async def test_counts_end_at_the_largest_integer(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID
) -> None:
    """An addition that fails would stop all folding."""
    await add_one(pool, webhook)
    await loop.run_once()
    await app.db.execute("UPDATE webhook_stats SET cells = '{0}', counts = '{2147483647}'")
    await add_one(pool, webhook)

    await loop.run_once()

    assert await app.db.fetchval(BATCHES) == 0
    assert await delivered(pool, webhook) == 2**31 - 1


async def test_what_cannot_be_folded_waits_and_is_named_in_the_log(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID
) -> None:
    await add_one(pool, webhook)
    await app.db.execute("ALTER TABLE webhook_stats RENAME TO away")
    with capture_logs() as logs:
        await loop.run_once()
    await app.db.execute("ALTER TABLE away RENAME TO webhook_stats")

    assert [line["event"] for line in logs] == ["stats.not_folded"]
    assert "webhook_stats" in logs[0]["reason"]
    await loop.run_once()
    assert await delivered(pool, webhook) == 1
    assert await app.db.fetchval(BATCHES) == 0


async def test_minutes_are_kept_for_two_days_and_hours_for_thirty(
    pool: Database, loop: StatsFolding, app: Application, webhook: UUID, database: str
) -> None:
    ages = (HOUR, MINUTES_KEPT - HOUR, MINUTES_KEPT + 2 * HOUR, HOURS_KEPT + 2 * HOUR)
    await add(pool, [attempt_result(200, webhook=webhook, began=now() - age) for age in ages])
    await loop.run_once()

    await prune(database)

    kept = await app.db.fetch("SELECT minutes FROM webhook_stats")
    assert Counter(row["minutes"] for row in kept) == {1: 2, 60: 3}
