"""What becomes of a table of the specification when it is taken over, in plain words."""

from collections.abc import Iterator

from daemon.store.adoption_plan import TablePlan
from daemon.store.adoption_tables import COLUMNS, DELIVERIES, EVENTS, FOREIGN_KEYS, foreign_key_name

BYTES_PER_SECOND = 30 * 1024**2  # of a table that is rewritten, with its indexes


def lines(plan: TablePlan, *, send_pending: bool) -> Iterator[str]:
    """What will change: the table first, then what changes in it."""
    yield f"adopts {plan.name}: {counted(plan.counts.rows)}, {sized(plan.table.bytes)}"
    for sentence in (
        *_columns(plan),
        *_keys(plan),
        *_history(plan, send_pending=send_pending),
        _locks(plan),
    ):
        yield f"  {sentence}"


def _columns(plan: TablePlan) -> Iterator[str]:
    if plan.times:
        how = "the table is rewritten" if plan.rewrites else "no row is rewritten"
        yield (
            f"{', '.join(plan.times)}: TIMESTAMP becomes TIMESTAMPTZ, read in {plan.time_zone};"
            f" {how}"
        )
    yield f"new columns: {', '.join(plan.added)}"
    if plan.defaults:
        yield "defaults: " + ", ".join(f"{n} = {d}" for n, d in plan.defaults.items())
    for name in plan.constrained:
        rows, fill = plan.counts.without.get(name, 0), COLUMNS[plan.name][name].fill
        yield f"{name}: NOT NULL" + (f"; {counted(rows)} without a value: {fill}" if rows else "")
    if plan.loosened:
        yield f"{', '.join(plan.loosened)}: no longer NOT NULL"


def _keys(plan: TablePlan) -> Iterator[str]:
    if plan.unchecked is not None:
        yield unchecked(plan)
    elif plan.foreign_key is not None:
        column, other, action = FOREIGN_KEYS[plan.name]
        yield f"{column}: refers to {other}{action}, checked without a lock on the table"
    if plan.dropped:
        names = ", ".join(index.name for index in plan.dropped)
        yield f"indexes that are dropped, and rebuilt where wanted, concurrently: {names}"


def unchecked(plan: TablePlan) -> str:
    """That rows which are there are not compared with the table to which they refer."""
    column, other, _ = FOREIGN_KEYS[plan.name]
    name = foreign_key_name(plan.name)
    return (
        f"{column}: refers to {other}, checked for new rows only, because {plan.unchecked}."
        f" Once that has changed: ALTER TABLE {plan.name} VALIDATE CONSTRAINT {name}"
    )


def _history(plan: TablePlan, *, send_pending: bool) -> Iterator[str]:
    if plan.name == EVENTS:
        yield "history: none of these events is sent"
    elif plan.name == DELIVERIES and send_pending:
        yield f"history, except for what is pending: {counted(plan.counts.pending)}, to be sent"
    elif plan.name == DELIVERIES:
        yield (
            f"history: {counted(plan.counts.pending)} pending, which become failed with the reason;"
            " --send-pending sends them"
        )
    else:
        yield "those that are active get the events that are inserted from then on"
    if plan.counts.expired:
        setting = f"retention.{plan.name.removeprefix('webhook_')}"
        yield (
            f"{setting} of the configuration: daemons will delete {counted(plan.counts.expired)}"
            " that are older"
        )


def _locks(plan: TablePlan) -> str:
    if not plan.locks_for:
        return "locks: some milliseconds, tried again and again where the table is in use"
    why = "the rewrite" if plan.rewrites else ", ".join(each.name for each in plan.rebuilt)
    return (
        f"locks: the table is neither read nor written during {why}: {sized(plan.locks_for)},"
        f" roughly {max(1, plan.locks_for // BYTES_PER_SECOND)} s"
    )


def sized(size: int) -> str:
    """So many bytes, for people."""
    return f"{size / 1024**2:.1f} MB" if size >= 1024**2 else f"{size // 1024} kB"


def counted(rows: int) -> str:
    """So many rows, for people."""
    return "1 row" if rows == 1 else f"{rows} rows"
