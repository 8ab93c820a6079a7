"""An endpoint that is failing, as the daemon stores it, and a receiver with an outage."""

from datetime import timedelta
from uuid import UUID

from tests.support.application import Application
from tests.support.receiver import Received, Receiver, Reply

HOUR = timedelta(hours=1)


async def set_failing(
    app: Application, webhook_id: UUID, *, probe_in: timedelta = HOUR, failures: int = 10
) -> None:
    """Store that the endpoint is failing, and when the next attempt may begin."""
    await app.db.execute(
        "UPDATE webhooks SET is_failing = true, consecutive_failures = $2, failing_since = now(),"
        " next_probe_at = now() + $3 WHERE id = $1",
        webhook_id,
        failures,
        probe_in,
    )


class Outage:
    """Makes the receiver fail until it is over; `failed` are the requests until then."""

    def __init__(self, receiver: Receiver) -> None:
        self.over = False
        self.failed: list[Received] = []
        self.after = 0.0
        receiver.answer = self._answer

    def _answer(self, request: Received) -> Reply:
        if self.over:
            return Reply()
        self.failed.append(request)
        return Reply(503, after=self.after)
