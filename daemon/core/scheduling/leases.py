"""How long a lease is: it outlives its attempt, so that no attempt is made twice."""

from datetime import timedelta

# For as long as the database may be away for a moment.
LEASE_BEYOND_TIMEOUT = timedelta(seconds=25)


def lease_of(timeout: timedelta) -> timedelta:
    """The lease of an attempt that may take as long as `timeout`."""
    return timeout + LEASE_BEYOND_TIMEOUT
