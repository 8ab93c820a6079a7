"""New delivery ids."""

import random
import time

from asyncpg.pgproto.pgproto import UUID

from daemon.core.model.ids import DeliveryId


def new_delivery_id() -> DeliveryId:
    """
    Return a new UUID of version 7 (RFC 9562, section 5.7).

    It is ordered by time, so that rows inserted together are close together in the index. It is
    asyncpg's kind of UUID, like those that are read: the standard library's takes several times as
    long to make, to print and to look up.
    """
    number = time.time_ns() // 1_000_000 << 80 | random.getrandbits(80)
    number = number & ~(0xF << 76) | 0x7 << 76
    return DeliveryId(UUID((number & ~(0x3 << 62) | 0x2 << 62).to_bytes(16, "big")))
