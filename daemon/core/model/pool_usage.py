"""How a pool of database connections is used at one moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Open connections of a pool, those of them that are idle, and how many it may open."""

    opened: int
    idle: int
    most: int
