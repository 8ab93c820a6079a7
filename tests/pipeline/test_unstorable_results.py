"""A result that cannot be stored, or takes too long, stops no other; large data are not moved."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import STATEMENT_FAILURES, StatementError, StatementTimeoutError
from daemon.core.model.attempts import AttemptResult
from daemon.pipeline.held_results import HeldResults
from daemon.pipeline.result_writer import ResultWriter
from daemon.store import plain_results, results
from daemon.store.session import Connection
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver, Reply

UNSTORABLE = results.UNSTORABLE


def failing_for(
    monkeypatch: pytest.MonkeyPatch, bad: UUID, error: type[Exception], *, bare_too: bool = False
) -> list[int]:
    """Transactions with a result of this webhook fail; returns the sizes of those batches."""
    sizes: list[int] = []
    original, original_plain = ResultWriter._write, plain_results.store_plain

    def check(batch: Sequence[AttemptResult]) -> None:
        if any(each.claim.webhook_id == bad for each in batch):
            sizes.append(len(batch))
            raise error("this one cannot be stored")

    async def write(
        self: ResultWriter, db: Connection, batch: Sequence[AttemptResult], **options: Any
    ) -> Any:
        if bare_too or not options["bare"]:
            check(batch)
        return await original(self, db, batch, **options)

    async def store_plain(db: Connection, batch: Sequence[Any], **options: Any) -> Any:
        check([result for result, _ in batch])
        return await original_plain(db, batch, **options)

    monkeypatch.setattr(ResultWriter, "_write", write)
    monkeypatch.setattr(plain_results, "store_plain", store_plain)
    return sizes


@pytest.mark.parametrize("error", [*STATEMENT_FAILURES, ValueError])
async def test_a_result_that_makes_its_transaction_fail_is_stored_bare_and_stops_no_other(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    bad = await app.webhook(tenant := await app.tenant(), receiver.url + "/bad")
    good = await app.webhook(await app.tenant(), receiver.url + "/good")
    failing_for(monkeypatch, bad, error)
    for webhook in (*[good] * 30, bad, *[good] * 30):
        await insert_delivery(app, webhook, next_retry_at=None)
    async with serving(database):
        await until(lambda: settled(app, good, "success", 60))
        await app.event(tenant)
        await until(lambda: settled(app, bad, "success", 2))

    assert len(receiver.at("/good")) == 60
    assert len(receiver.at("/bad")) == 2
    rows = await app.deliveries(bad)
    assert {row["error_message"] for row in rows} == {UNSTORABLE}
    assert {row["status_code"] for row in rows} == {200}
    assert {row["error_message"] for row in await app.deliveries(good)} == {None}


@pytest.mark.parametrize("number", [-100, -(2**31), 2**31 - 1])
async def test_counts_of_failures_that_no_webhook_should_have_stop_no_other(
    app: Application, database: str, receiver: Receiver, number: int
) -> None:
    receiver.answer = lambda request: Reply(500 if request.path == "/bad" else 200)
    bad = await app.webhook(tenant := await app.tenant(), receiver.url + "/bad")
    await app.db.execute(
        "UPDATE webhooks SET is_failing = true, failing_since = now(), next_probe_at = now(),"
        " consecutive_failures = 5, failed_probes = $2 WHERE id = $1",
        *(bad, number),
    )
    good = await app.webhook(other := await app.tenant(), receiver.url + "/good")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, bad, "failed", 1))
        await app.event(other)
        await until(lambda: settled(app, good, "success", 1))

    health = await app.health(bad)
    assert health["failed_probes"] == min(max(0, number) + 1, 2**31 - 1)


async def test_a_result_that_cannot_be_stored_even_bare_is_put_aside_until_it_can(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = await app.webhook(tenant := await app.tenant(), receiver.url + "/bad", types=["bad"])
    good = await app.webhook(tenant, receiver.url + "/good", types=["good"])
    with pytest.MonkeyPatch.context() as patched, capture_logs() as logs:
        failing_for(patched, bad, StatementError, bare_too=True)
        async with serving(database):
            await app.event(tenant, type="bad")
            await until(lambda: len(receiver.at("/bad")) == 1)
            for n in range(5):
                await app.event(tenant, {"n": n}, type="good")
                await until(lambda n=n: settled(app, good, "success", n + 1), within=5)
            await until(lambda: any(each["event"] == "result.put_aside" for each in logs))
            assert await app.deliveries(bad) == []
            patched.undo()
            await until(lambda: settled(app, bad, "success", 1))

    assert len(receiver.at("/bad")) == 1


@pytest.mark.parametrize("is_pending", [False, True], ids=["first attempt", "pending row"])
async def test_a_moment_in_which_nothing_can_be_stored_costs_no_response(
    app: Application, database: str, receiver: Receiver, *, is_pending: bool
) -> None:
    """As when the server's disk stands still: every statement takes too long, and then none."""
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url)
    original = HeldResults.add
    with pytest.MonkeyPatch.context() as moment:

        def add(self: HeldResults, batch: Iterable[AttemptResult]) -> None:
            moment.undo()  # the result has been tried alone, too, and is put aside
            original(self, batch)

        sizes = failing_for(moment, webhook, StatementTimeoutError, bare_too=True)
        moment.setattr(HeldResults, "add", add)
        async with serving(database):
            if is_pending:
                await insert_delivery(app, webhook, next_retry_at=None)
            else:
                await app.event(tenant)
            await until(lambda: settled(app, webhook, "success", 1))

    assert 1 in sizes
    assert [row["error_message"] for row in await app.deliveries(webhook)] == [None]
    assert len(receiver.received) == 1


async def test_data_that_are_too_large_are_not_moved_with_the_result_that_says_so(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url)
    async with serving_api(database, tenant, delivery={"max_body_bytes": 100_000}) as api:
        for payload in ('"' + "x" * 100_000 + '"', '"' + "x" * 5_000_000 + '"'):
            await insert_delivery(app, webhook, next_retry_at=None, payload=payload)
        allowed = '"' + "x" * 99_000 + '"'
        await insert_delivery(app, webhook, next_retry_at=None, payload=allowed)
        await until(lambda: settled(app, webhook, "failed", 2))
        await until(lambda: settled(app, webhook, "success", 1))
        rows = await app.deliveries(webhook)
        answers = [await api.get(f"/api/deliveries/{row['id']}") for row in rows]

    for row, answer in zip(rows, answers, strict=True):
        if row["status"] == "success":
            assert row["payload"] == allowed
            continue
        assert (row["payload"], row["too_large"]) == (None, True)
        assert "100,000" in row["error_message"]
        assert (answer.status, answer.json["request"]) == (200, None)
