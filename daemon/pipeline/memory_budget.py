"""How many more attempts fit into the memory that bodies in flight may take."""

# The last claim may exceed it: a size is known only once the row has been read.
BYTES_IN_FLIGHT = 64 * 1024 * 1024
SMALLEST_BYTES = 1024  # counted for any body, for what surrounds it
NEWEST_WEIGHT = 0.05  # of the newest size in the running mean


class MemoryBudget:
    """Counts the bytes of bodies in flight, and estimates the next ones from a running mean."""

    def __init__(self) -> None:
        self._bytes = 0
        self._mean = float(SMALLEST_BYTES)

    def room(self) -> int:
        """How many attempts of average size may begin; negative once the budget is exceeded."""
        return int((BYTES_IN_FLIGHT - self._bytes) / self._mean)

    def take(self, size: int) -> None:
        """Count a body of `size` bytes that is in flight from now on."""
        self._bytes += size
        self._mean += NEWEST_WEIGHT * (max(size, SMALLEST_BYTES) - self._mean)

    def free(self, size: int) -> None:
        """Count a body that is not in flight any more."""
        self._bytes -= size
