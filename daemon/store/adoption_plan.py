"""
Changes to a table of the specification when it is taken over.

The rule: what is done under a lock takes as long as a few catalog entries, or `locks_for` says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.store.adoption_catalog import FoundIndex, FoundKey, FoundTable
from daemon.store.adoption_obstacles import is_changed_time
from daemon.store.adoption_tables import (
    COLUMNS,
    FIRST_ADDED,
    FOREIGN_KEYS,
    LATER_ADDED,
    REPLACED_INDEXES,
    SPECIFIED_STATUS_INDEX,
    foreign_key_name,
)

# In these, PostgreSQL changes the type of a time without writing a row (since version 12).
SAME_AS_UTC = frozenset({"utc", "etc/utc", "gmt", "etc/gmt", "etc/uct", "uct", "zulu", "etc/zulu"})


@dataclass(frozen=True, slots=True)
class Counts:
    """
    The rows of a table, and those among them that are special.

    `distrust` says why the table must not be compared with the one to which it refers.
    """

    rows: int
    without: Mapping[str, int]
    pending: int = 0
    orphans: int = 0
    distrust: str | None = None
    expired: int = 0


@dataclass(frozen=True, slots=True)
class TablePlan:
    """One table as it is, and what becomes of it. Times without zone are read in `time_zone`."""

    table: FoundTable
    counts: Counts
    time_zone: str

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def times(self) -> list[str]:
        """The columns that become TIMESTAMPTZ without precision."""
        return [name for name in COLUMNS[self.name] if is_changed_time(self.table, name)]

    @property
    def rewrites(self) -> bool:
        """Whether PostgreSQL rewrites the table, under its lock."""
        zoneless = any(self.table.columns[each].is_zoneless for each in self.times)
        return zoneless and self.time_zone.lower() not in SAME_AS_UTC

    @property
    def rebuilt(self) -> list[FoundIndex]:
        """Indexes of the application on those columns: PostgreSQL builds them under the lock."""
        return [each for each in self._indexes_on_times() if each.name not in REPLACED_INDEXES]

    @property
    def dropped(self) -> list[FoundIndex]:
        """Indexes that are dropped; those that are still wanted are built again, concurrently."""
        on_times = [each for each in self._indexes_on_times() if each.name in REPLACED_INDEXES]
        return on_times + [
            each
            for each in self.table.indexes
            if each.name == SPECIFIED_STATUS_INDEX and each not in on_times
        ]

    @property
    def locks_for(self) -> int:
        """How many bytes are written or read under the lock; 0 if that is next to nothing."""
        return self.table.bytes if self.rewrites or self.rebuilt else 0

    @property
    def constrained(self) -> list[str]:
        """Columns that get a NOT NULL."""
        return [
            name
            for name, wanted in COLUMNS[self.name].items()
            if wanted.not_null and not self.table.columns[name].not_null
        ]

    @property
    def foreign_key(self) -> tuple[str, list[FoundKey]] | None:
        """The name of a foreign key that is to be made, and those that it replaces."""
        if self.name not in FOREIGN_KEYS:
            return None
        column, other, action = FOREIGN_KEYS[self.name]
        name = str(foreign_key_name(self.name))
        found = [
            key
            for key in self.table.keys
            if key.kind == "f" and key.columns == (column,) and key.refers_to == other
        ]
        if any(key.cascades or not action for key in found if key.name == name):
            return None
        return name, found

    @property
    def unchecked(self) -> str | None:
        """Why the foreign key holds for new rows only; None if it holds for all."""
        name = foreign_key_name(self.name)
        is_valid = any(key.is_valid for key in self.table.keys if key.name == name)
        return None if is_valid else self.counts.distrust

    def _indexes_on_times(self) -> list[FoundIndex]:
        return [each for each in self.table.indexes if each.columns & {*self.times}]

    @property
    def defaults(self) -> dict[str, str]:
        """The defaults that columns get; one of the application's stays, but for that of a time."""
        return {
            name: wanted.default
            for name, wanted in COLUMNS[self.name].items()
            if wanted.default is not None
            and (self.table.columns[name].default is None or name in self.times)
        }

    @property
    def added(self) -> list[str]:
        """The columns that migrations add."""
        every = FIRST_ADDED[self.name].keys() | LATER_ADDED[self.name]
        return sorted(every - self.table.columns.keys())

    @property
    def loosened(self) -> list[str]:
        """Columns in which the daemon must be able to write no value."""
        return [
            name
            for name, wanted in COLUMNS[self.name].items()
            if not wanted.not_null and self.table.columns[name].not_null
        ]
