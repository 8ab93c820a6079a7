"""Every operation of the API, in the order in which it is documented."""

from daemon.admin.api.auth import Access
from daemon.admin.api.operation import Operation
from daemon.admin.resources.deliveries import DeliveryDesk
from daemon.admin.resources.replays import ReplayDesk
from daemon.admin.resources.test_event import TrialDesk
from daemon.admin.resources.tokens import TokenDesk
from daemon.admin.resources.webhooks import WebhookDesk
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.pipeline.attempt import AttemptMaker
from daemon.runtime.offload import Offload
from daemon.secrets.vault import Vault
from daemon.store.database import Database


def operations(
    *,
    database: Database,
    attempts: AttemptMaker,
    offload: Offload,
    vault: Vault,
    policy: EgressPolicy,
    access: Access,
) -> list[Operation]:
    return [
        *WebhookDesk(database, vault, policy).operations(),
        *TrialDesk(database, attempts, offload).operations(),
        *DeliveryDesk(database, offload).operations(),
        *ReplayDesk(database).operations(),
        *TokenDesk(database, access).operations(),
    ]
