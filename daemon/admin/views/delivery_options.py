"""How a webhook's deliveries are made, in responses: what is used, not what is stored."""

from datetime import timedelta
from typing import Any

from daemon.config import format_duration
from daemon.core.model.delivery_options import DeliveryOptions
from daemon.core.policy.delivery_options import LONGEST_SCHEDULE_NAME, bounded
from daemon.core.unprintable import escape


def option_members(stored: DeliveryOptions) -> dict[str, Any]:
    """The members of a webhook in a response; null is the installation's default."""
    options = bounded(stored)
    timeout, name = options.timeout_ms, options.retry_schedule
    return {
        "timeout": None if timeout is None else format_duration(timedelta(milliseconds=timeout)),
        "max_per_second": options.max_per_second,
        "max_in_flight": options.max_in_flight,
        "retry_schedule": None if name is None else escape(name[:LONGEST_SCHEDULE_NAME]),
        "client_errors_final": bool(options.client_errors_final),
    }
