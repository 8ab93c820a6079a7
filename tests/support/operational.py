"""Webhooks that get operational events, and what they got."""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import nothing_pending, settled
from tests.support.receiver import Received, Receiver, Reply

# Every failure ends its delivery; a webhook is failing at 2 failures, and paused at 10.
QUICK = {
    "retry_schedule": [],
    "failing_after": 2,
    "pause_after": 10,
    "failing_backoff": "0s",
}

MARK = "INSERT INTO webhook_operator_scopes (webhook_id, made_by) VALUES ($1, 'ops')"


async def scoped_webhook(
    app: Application, tenant: UUID, url: str, scope: str, **columns: Any
) -> UUID:
    """Insert a webhook of this scope; one for operators as they do, with its mark."""
    webhook = await app.webhook(tenant, url, **columns)
    await app.db.execute("UPDATE webhooks SET scope = $2 WHERE id = $1", webhook, scope)
    if scope == "operator":
        await app.db.execute(MARK, webhook)
    return webhook


def failing_at(receiver: Receiver, *paths: str, status: int = 503) -> None:
    """Have the receiver refuse what comes to these paths."""
    receiver.answer = lambda request: Reply(status if request.path in paths else 200)


def types(requests: Iterable[Received]) -> Counter[str]:
    """How many events of each type there are."""
    return Counter(each.event["type"] for each in requests)


def of_type(requests: Iterable[Received], name: str) -> list[Any]:
    """The data of the events of this type, in the order in which they came."""
    return [each.event["data"] for each in requests if each.event["type"] == name]


async def waiting(app: Application) -> int:
    """How many operational events are not delivered to all of their subscribers yet."""
    count: int = await app.db.fetchval("SELECT count(*) FROM webhook_operational_events")
    return count


async def nothing_waiting(app: Application) -> bool:
    """Whether every operational event has its deliveries."""
    return await waiting(app) == 0


async def fail(app: Application, tenant: UUID, webhook: UUID, times: int) -> None:
    """Let attempts to the webhook fail one after the other, until so many have failed."""
    for count in range(1, times + 1):
        await app.event(tenant, {"n": count})
        await until(lambda count=count: settled(app, webhook, "failed", count))


async def all_sent(app: Application) -> bool:
    """Whether every operational event is delivered, or given up."""
    return await nothing_waiting(app) and await nothing_pending(app)
