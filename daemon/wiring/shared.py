"""The parts that most others need: they are built first."""

from dataclasses import dataclass

from daemon.config import Config
from daemon.config.policies import master_keys
from daemon.core.scheduling.daily_quota import DailyQuota
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.secrets.encryption import Vault
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The configuration, the database, and what has no other parts."""

    config: Config
    database: Database
    vault: Vault
    offload: Offload
    lanes: Lanes
    waker: LaneWaker
    metrics: Metrics
    copies: DailyQuota


def shared_parts(config: Config, database: Database) -> SharedParts:
    """Build the parts that need the configuration alone."""
    lanes = Lanes(slots=config.delivery.concurrency, widest=config.delivery.per_endpoint)
    return SharedParts(
        config=config,
        database=database,
        vault=Vault(master_keys(config)),
        offload=Offload(),
        lanes=lanes,
        waker=LaneWaker(lanes),
        metrics=Metrics(),
        copies=DailyQuota(config.limits.replayed_mib_per_day * 1024 * 1024),
    )
