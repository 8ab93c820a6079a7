"""New delivery ids."""

import random
import time
from uuid import UUID

from daemon.core.model.ids import DeliveryId


def new_delivery_id() -> DeliveryId:
    """
    Return a new UUID of version 7 (RFC 9562, section 5.7).

    It is ordered by time, so that rows inserted together are close together in the index.
    """
    number = time.time_ns() // 1_000_000 << 80 | random.getrandbits(80)
    number = number & ~(0xF << 76) | 0x7 << 76
    return DeliveryId(UUID(int=number & ~(0x3 << 62) | 0x2 << 62))
