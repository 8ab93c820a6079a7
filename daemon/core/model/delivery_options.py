"""How a webhook's owner wants its deliveries to be made, where that differs from the defaults."""

from dataclasses import dataclass

from daemon.core.model.value import value


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """
    The options of one webhook as stored; None is the default.

    The application may have written any values: `core.policy.delivery_options` bounds them.
    `retry_schedule` is the name of one in `delivery.retry_schedules`.
    """

    timeout_ms: int | None = None
    max_per_second: float | None = None
    max_in_flight: int | None = None
    retry_schedule: str | None = None
    client_errors_final: bool | None = None


@value(frozen=True, slots=True)
class AttemptOptions:
    """
    What of these an attempt needs to know, within bounds.

    `timeout_seconds` is None for `delivery.timeout`, and `retry_schedule` for
    `delivery.retry_schedule`. `takes_place`: its webhook has a limit of attempts in flight, of
    which this is one until its result is stored.
    """

    timeout_seconds: float | None = None
    retry_schedule: str | None = None
    client_errors_final: bool = False
    takes_place: bool = False


DEFAULT_OPTIONS = DeliveryOptions()
DEFAULT_ATTEMPT = AttemptOptions()
