"""How much each workload does: in full, or only enough to show that the instrument works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of events, deliveries and endpoints, and seconds of steady load."""

    rounds: int = 5
    events: int = 20_000
    warm_up: int = 2_000
    large_events: int = 5_000
    paced_seconds: float = 20.0
    paced_warm_up_seconds: float = 3.0
    publisher_seconds: float = 10.0
    idle_after_seconds: float = 16.0  # connections are kept, and stalls watched, for a while
    idle_seconds: float = 20.0
    live_events: int = 3_000
    live_warm_up: int = 200
    pending: int = 1_000_000
    pending_endpoints: int = 10_000
    due: int = 100_000
    storm: int = 200_000
    storm_rises_in_seconds: float = 12.0
    replay: int = 100_000
    churn: int = 200_000
    console_webhooks: int = 1_000
    console_deliveries: int = 1_000_000
    # After this time, whatever has not arrived counts as never.
    patience_seconds: float = 120.0


FULL = Sizes()
QUICK = Sizes(
    rounds=1,
    events=600,
    warm_up=100,
    large_events=200,
    paced_seconds=2.0,
    paced_warm_up_seconds=1.0,
    publisher_seconds=1.0,
    idle_after_seconds=1.0,
    idle_seconds=2.0,
    live_events=100,
    live_warm_up=20,
    pending=5_000,
    pending_endpoints=100,
    due=500,
    storm=1_000,
    storm_rises_in_seconds=5.0,
    replay=500,
    churn=600,
    console_webhooks=20,
    console_deliveries=2_000,
    patience_seconds=60.0,
)
