"""
What changes in a table of the specification when it is taken over: in words, and as statements.

The rule: what is done under a lock takes as long as a few catalog entries, or `locks_for` says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from daemon.store.adoption_catalog import FoundIndex, FoundKey, FoundTable
from daemon.store.adoption_obstacles import is_changed_time
from daemon.store.adoption_tables import (
    ADDED_BEFOREHAND,
    COLUMNS,
    DELIVERIES,
    EVENTS,
    FIRST_ADDED,
    FOREIGN_KEYS,
    LATER_ADDED,
    REPLACED_INDEXES,
    SPECIFIED_STATUS_INDEX,
    STORAGE,
    WEBHOOKS,
    foreign_key_name,
)

# In these, PostgreSQL changes the type of a time without writing a row (since version 12).
SAME_AS_UTC = frozenset({"utc", "etc/utc", "gmt", "etc/gmt", "etc/uct", "uct", "zulu", "etc/zulu"})

FILL = "UPDATE webhooks SET {name} = {fill} WHERE {name} IS NULL"
BYTES_PER_SECOND = 30 * 1024**2  # of a table that is rewritten, with its indexes


@dataclass(frozen=True, slots=True)
class Counts:
    """The rows of a table, and those among them that are special."""

    rows: int
    without: Mapping[str, int]
    pending: int = 0
    orphans: int = 0
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
        """Whether PostgreSQL writes the table anew, under its lock."""
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
    def is_due(self) -> bool:
        """Whether there is anything to change, save indexes."""
        return any(True for _ in self.statements())

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

    def _indexes_on_times(self) -> list[FoundIndex]:
        return [each for each in self.table.indexes if each.columns & {*self.times}]

    def statements(self) -> Iterator[str]:
        """What is done in one transaction, whose time zone is that of the times."""
        for index in self.dropped:
            yield f"DROP INDEX {index.name}"
        if self.name == WEBHOOKS:  # few rows; those of deliveries are filled page by page
            for name in self.constrained:
                if (fill := COLUMNS[WEBHOOKS][name].fill) is not None:
                    yield FILL.format(name=name, fill=fill)
        yield from self._columns()
        yield from self._keys()
        options = [f"{name} = {value}" for name, value in STORAGE[self.name].items()]
        if missing := [o for o in options if o.replace(" ", "") not in self.table.options]:
            yield f"ALTER TABLE {self.name} SET ({', '.join(missing)})"

    def _columns(self) -> Iterator[str]:
        alter = f"ALTER TABLE {self.name}"
        for name in self.times:
            if self.table.columns[name].default is not None:
                yield f"{alter} ALTER COLUMN {name} DROP DEFAULT"
        if self.times:  # all in one, so that the table is rewritten once at most
            types = ", ".join(f"ALTER COLUMN {name} TYPE TIMESTAMPTZ" for name in self.times)
            yield f"{alter} {types}"
        for name, default in self.defaults.items():
            yield f"{alter} ALTER COLUMN {name} SET DEFAULT {default}"
        for name in self.loosened:
            yield f"{alter} ALTER COLUMN {name} DROP NOT NULL"
        for name, type_ in (FIRST_ADDED[self.name] | ADDED_BEFOREHAND.get(self.name, {})).items():
            if name not in self.table.columns:
                yield f"{alter} ADD COLUMN {name} {type_}"
        for name in self.constrained:
            yield f"{alter} DROP CONSTRAINT IF EXISTS webhookd_{name}_set"
            yield (
                f"{alter} ADD CONSTRAINT webhookd_{name}_set CHECK ({name} IS NOT NULL) NOT VALID"
            )

    def _keys(self) -> Iterator[str]:
        alter = f"ALTER TABLE {self.name}"
        for key in self.table.keys:
            if key.kind == "p" and key.name != f"{self.name}_pkey":
                yield f"{alter} RENAME CONSTRAINT {key.quoted} TO {self.name}_pkey"
        if self.foreign_key is not None:
            name, replaced = self.foreign_key
            column, other, action = FOREIGN_KEYS[self.name]
            for key in replaced:
                yield f"{alter} DROP CONSTRAINT {key.quoted}"
            yield (
                f"{alter} ADD CONSTRAINT {name}"
                f" FOREIGN KEY ({column}) REFERENCES {other} (id){action} NOT VALID"
            )

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

    def sentences(self) -> Iterator[str]:
        """What will change, in plain words."""
        if self.times:
            how = "the table is rewritten" if self.rewrites else "no row is rewritten"
            yield (
                f"{', '.join(self.times)}: TIMESTAMP becomes TIMESTAMPTZ, read in"
                f" {self.time_zone}; {how}"
            )
        yield f"new columns: {', '.join(self.added)}"
        if self.defaults:
            yield "defaults: " + ", ".join(f"{n} = {d}" for n, d in self.defaults.items())
        for name in self.constrained:
            rows, fill = self.counts.without.get(name, 0), COLUMNS[self.name][name].fill
            yield f"{name}: NOT NULL" + (
                f"; {rows} rows without a value get {fill}" if rows else ""
            )
        if self.loosened:
            yield f"{', '.join(self.loosened)}: no longer NOT NULL"
        if self.foreign_key is not None:
            column, other, action = FOREIGN_KEYS[self.name]
            yield f"{column}: refers to {other}{action}, checked without a lock on the table"
        if self.dropped:
            yield f"dropped or built anew, concurrently: {', '.join(i.name for i in self.dropped)}"
        yield self._history()
        if self.counts.expired:
            setting = f"retention.{self.name.removeprefix('webhook_')}"
            yield (
                f"{setting} of the configuration: daemons will delete"
                f" {counted(self.counts.expired)} that are older"
            )
        yield self._locks()

    def _history(self) -> str:
        match self.name:
            case name if name == EVENTS:
                return "history: none of these events is sent"
            case name if name == DELIVERIES:
                return f"history; pending: {self.counts.pending}"
            case _:
                return "those that are active get the events that are inserted from then on"

    def _locks(self) -> str:
        if not self.locks_for:
            return "locks: some milliseconds, tried again and again where the table is in use"
        why = "the rewrite" if self.rewrites else ", ".join(each.name for each in self.rebuilt)
        return (
            f"locks: nobody reads or writes the table during {why}: {megabytes(self.locks_for)},"
            f" roughly {max(1, self.locks_for // BYTES_PER_SECOND)} s"
        )


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1024**2:.1f} MB" if size >= 1024**2 else f"{size // 1024} kB"


def counted(rows: int) -> str:
    """So many rows, for people."""
    return "1 row" if rows == 1 else f"{rows} rows"
