"""When an endpoint's last success is written: each time would be a row version per delivery."""

import time
from math import inf

from daemon.core.model.ids import WebhookId

LAST_SUCCESS_SECONDS = 1.0
MOST_REMEMBERED = 20_000


class SuccessNews:
    """Remembers when the last success of each webhook was written."""

    def __init__(self) -> None:
        self._written_at: dict[WebhookId, float] = {}

    def is_due(self, webhook_id: WebhookId) -> bool:
        """
        Whether to write `last_success_at` now, as is then done.

        It may be up to LAST_SUCCESS_SECONDS late.
        """
        now = time.monotonic()
        if now - self._written_at.get(webhook_id, -inf) < LAST_SUCCESS_SECONDS:
            return False
        if len(self._written_at) >= MOST_REMEMBERED:
            self._written_at.clear()
        self._written_at[webhook_id] = now
        return True
