"""
The statements that change a table of the specification when it is taken over.

The rule: together they take as long as a few catalog entries, or the plan's `locks_for` says so.
"""

from collections.abc import Iterator

from daemon.store.adoption_plan import TablePlan
from daemon.store.adoption_tables import (
    ADDED_BEFOREHAND,
    COLUMNS,
    FIRST_ADDED,
    FOREIGN_KEYS,
    STORAGE,
    WEBHOOKS,
)

# One statement: a row that its transaction writes twice has its foreign keys checked again.
FILL = "UPDATE webhooks SET {values} WHERE {missing}"


def statements(plan: TablePlan) -> Iterator[str]:
    """What is done in one transaction, whose time zone is that of the times."""
    for index in plan.dropped:
        yield f"DROP INDEX {index.name}"
    if plan.name == WEBHOOKS:  # few rows; those of deliveries are filled page by page
        yield from _fill(plan)
    yield from _columns(plan)
    yield from _keys(plan)
    options = [f"{name} = {value}" for name, value in STORAGE[plan.name].items()]
    if missing := [o for o in options if o.replace(" ", "") not in plan.table.options]:
        yield f"ALTER TABLE {plan.name} SET ({', '.join(missing)})"


def _fill(plan: TablePlan) -> Iterator[str]:
    fills = {name: COLUMNS[WEBHOOKS][name].fill for name in plan.constrained}
    names = [name for name, fill in fills.items() if fill is not None]
    if names:
        yield FILL.format(
            values=", ".join(f"{name} = COALESCE({name}, {fills[name]})" for name in names),
            missing=" OR ".join(f"{name} IS NULL" for name in names),
        )


def _columns(plan: TablePlan) -> Iterator[str]:
    alter = f"ALTER TABLE {plan.name}"
    for name in plan.times:
        if plan.table.columns[name].default is not None:
            yield f"{alter} ALTER COLUMN {name} DROP DEFAULT"
    if plan.times:  # all in one, so that the table is rewritten once at most
        types = ", ".join(f"ALTER COLUMN {name} TYPE TIMESTAMPTZ" for name in plan.times)
        yield f"{alter} {types}"
    for name, default in plan.defaults.items():
        yield f"{alter} ALTER COLUMN {name} SET DEFAULT {default}"
    for name in plan.loosened:
        yield f"{alter} ALTER COLUMN {name} DROP NOT NULL"
    for name, type_ in (FIRST_ADDED[plan.name] | ADDED_BEFOREHAND.get(plan.name, {})).items():
        if name not in plan.table.columns:
            yield f"{alter} ADD COLUMN {name} {type_}"
    for name in plan.constrained:
        yield f"{alter} DROP CONSTRAINT IF EXISTS webhookd_{name}_set"
        yield (f"{alter} ADD CONSTRAINT webhookd_{name}_set CHECK ({name} IS NOT NULL) NOT VALID")


def _keys(plan: TablePlan) -> Iterator[str]:
    alter = f"ALTER TABLE {plan.name}"
    for key in plan.table.keys:
        if key.kind == "p" and key.name != f"{plan.name}_pkey":
            yield f"{alter} RENAME CONSTRAINT {key.quoted} TO {plan.name}_pkey"
    if plan.foreign_key is not None:
        name, replaced = plan.foreign_key
        column, other, action = FOREIGN_KEYS[plan.name]
        for key in replaced:
            yield f"{alter} DROP CONSTRAINT {key.quoted}"
        yield (
            f"{alter} ADD CONSTRAINT {name}"
            f" FOREIGN KEY ({column}) REFERENCES {other} (id){action} NOT VALID"
        )
