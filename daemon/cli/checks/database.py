"""The server's version, the schema, and the role's privileges."""

from collections.abc import AsyncIterator

from daemon.cli.checks.finding import Finding, error, ok, warning
from daemon.config import Config
from daemon.core.errors import ReadOnlyDatabaseError, SchemaError
from daemon.core.model.webhook_inspection import MissingPrivilege
from daemon.maintenance.installation_guard import foreign_sentence
from daemon.maintenance.schema_watch import FIRES_NONE
from daemon.store import (
    daemon_tables,
    encoding,
    foreign_keys,
    function_rights,
    history_partitions,
    installation,
    migrations,
    notification_queue,
    partitioning,
    privileges,
    restored_events,
    schema_access,
    schema_trust,
    subscribers,
    tenants,
    trigger_state,
    webhook_inspection,
    writable,
)
from daemon.store.partitioning import Layout
from daemon.store.session import Connection

OLDEST_POSTGRESQL = 14
MUCH_OF_QUEUE = 0.1  # usually it is empty


async def check_version(db: Connection, loaded: Config) -> Finding:
    """Whether PostgreSQL is recent enough, the database in UTF-8, and no standby."""
    version = await webhook_inspection.server_version(db)
    server = f"PostgreSQL {version.name}, {loaded.database.display_name()}"
    if version.major < OLDEST_POSTGRESQL:
        return error("database", f"{server}: must be {OLDEST_POSTGRESQL} or later")
    if mistake := await encoding.encoding_mistake(db):
        return error("database", f"{server}: {mistake}")
    try:
        await writable.require_writable(db)
    except ReadOnlyDatabaseError as failure:
        return error("database", f"{server}: {failure}")
    return ok("database", server)


async def check_schema(db: Connection) -> Finding:
    """Whether the schema is the one that this program knows, and how it stores deliveries."""
    try:
        await migrations.verify(db)
    except SchemaError as failure:
        return error("schema", str(failure))
    return ok("schema", f"up to date: {migrations.known()[-1].name}{await _layout(db)}")


async def _layout(db: Connection) -> str:
    match await partitioning.layout(db):
        case Layout.PLAIN:
            obstacles = await partitioning.obstacles(db)
            reason = "; ".join(obstacles) or "`webhookd migrate` converts it to partitions"
            return f"; webhook_deliveries is one table: {reason}"
        case Layout.CONVERTED if obstacles := await partitioning.legacy_obstacles(db):
            return f"; webhook_deliveries_legacy is empty and stays: {'; '.join(obstacles)}"
        case _:
            return ""


async def check_owner(db: Connection, loaded: Config) -> Finding:
    """Whether the database belongs to this installation."""
    own_name = loaded.installation.name
    if own_name is None:
        return ok(
            "installation",
            "installation.name is not set: a copy of this database would be sent from, too",
        )
    found = await installation.name_of(db)
    if found is None:
        return ok("installation", f'the first daemon makes the database that of "{own_name}"')
    if found != own_name:
        return error("installation", foreign_sentence(own_name, found))
    return ok("installation", f'the database belongs to "{own_name}"')


async def check_partitions(db: Connection, loaded: Config) -> AsyncIterator[Finding]:
    """Partitions that daemons could not make, and those that they cannot drop."""
    if days := await history_partitions.missing_days(db):
        yield warning(
            "partitions",
            f"no partition for {', '.join(map(str, days))}: finished deliveries go to"
            " webhook_deliveries_undated. Either it has rows of these days already, or"
            " `history_partitions.failed` in a daemon's log says why",
        )
    retention = loaded.retention.deliveries
    for dependent in await history_partitions.dependents(db, retention=retention):
        yield warning("partitions", f"{dependent.sentence}, which is only emptied")


async def check_notifications(db: Connection) -> AsyncIterator[Finding]:
    """Whether PostgreSQL's queue of notifications fills up."""
    usage = await notification_queue.usage(db)
    if usage >= MUCH_OF_QUEUE:
        yield warning(
            "notifications",
            f"PostgreSQL's queue of notifications is {usage:.0%} full: a session that listens has"
            " been in one transaction for long (pg_stat_activity). From 50% on, new events are"
            " found by polling",
        )


async def check_subscriptions(db: Connection) -> AsyncIterator[Finding]:
    """Whether logical replication brings rows, and whether these are found."""
    for each in await subscribers.subscriptions(db):
        if each.table == subscribers.INBOX:
            yield warning(
                "replication",
                f"the subscription {each.name} replicates {each.table}, too: as long as it does,"
                " this database is a copy of an installation, and no daemon is to run with it",
            )
    for each in await subscribers.subscriptions_in_vain(db):
        yield error(
            "replication",
            f"{each.table} gets rows by the subscription {each.name}, and they will not be found:"
            f" run `{subscribers.COMMAND}`",
        )
    for stopped in await subscribers.stopped(db):
        yield (error if stopped.is_enabled else warning)(
            "replication", f"nothing comes by the subscription {stopped.name}: {stopped.reason}"
        )


async def check_restored_events(db: Connection) -> AsyncIterator[Finding]:
    """How many events wait that came with a dump of another server."""
    if count := await restored_events.count(db):
        number = f"{count}" if count < restored_events.MOST_COUNTED else f"{count} or more"
        yield warning(
            "inbox",
            f"events that came with a dump of another server and wait for a daemon: {number}. One"
            " that runs finds them within seconds; if they remain, its log says why"
            " (`fanout.search_timed_out`)",
        )


async def check_permissions(db: Connection, *, with_api: bool) -> AsyncIterator[Finding]:
    """Privileges that the role lacks (with `with_api`, the API's too), triggers, functions."""
    missing = await privileges.missing_on_tables(db, with_api=with_api)
    missing += await privileges.missing_on_functions(db)
    messages = [_sentence(each) for each in missing]
    triggers = await trigger_state.read(db)
    messages += [each.sentence for each in triggers.disabled]
    messages += [FIRES_NONE] if triggers.fires_none else []
    messages += [
        f"the function {function} runs as its owner and searches temporary tables first:"
        " ALTER FUNCTION … SET search_path = its schema, pg_temp"
        for function in await privileges.unpinned_functions(db)
    ]
    messages += [message async for message in _open_functions(db)]
    messages += [
        f"{each.role} may insert webhooks or events, and write {each.table}, too, which gives it"
        f" rights of operators: REVOKE ALL ON {each.table} FROM {each.role}, or from the role by"
        " which it has them"
        for each in await daemon_tables.writers(db)
    ]
    for message in dict.fromkeys(messages):  # an invisible table lacks several privileges
        yield error("permissions", message)
    if not messages:
        role = await privileges.current_role(db)
        yield ok("permissions", f"role {role} has every privilege that the daemon needs")


async def _open_functions(db: Connection) -> AsyncIterator[str]:
    for each in await function_rights.executors(db):
        yield (
            f"{each.role} may execute the function {each.function}, which runs as its owner:"
            f" REVOKE ALL ON FUNCTION {each.function} FROM {each.role} CASCADE"
        )
    for trigger in await function_rights.foreign_triggers(db):
        yield (
            f"the function {trigger.function}, which runs as its owner, is called for another"
            f" table: DROP TRIGGER {trigger.name} ON {trigger.table}"
        )


MOST_OVERLOADS = 10


async def check_schema_access(db: Connection) -> AsyncIterator[Finding]:
    """Other roles that may create objects that our SQL would run, and those that exist already."""
    for creator in await schema_access.creators(db):
        yield warning(
            "permissions",
            f"{creator.role} may create functions and operators in the schema {creator.schema}, and"
            " the daemon may run them with its own rights:"
            f" REVOKE CREATE ON SCHEMA {creator.schema} FROM {creator.role}",
        )
    for each in await schema_trust.attachers(db):
        yield warning(
            "permissions",
            f"{each.role} may have functions of its own run for rows of {each.table}, with the"
            " rights of the daemon or the owner:"
            f" REVOKE {each.privilege} ON {each.table} FROM {each.role}",
        )
    for owner in await schema_trust.lesser_owners(db):
        yield warning(
            "permissions",
            f"tables belong to {owner}, and this role is a superuser: what {owner} attaches to them"
            " runs with a superuser's rights. Connect as a role that is none (sql/roles.sql)",
        )
    for key in await foreign_keys.untrusted(db):
        yield warning("permissions", key.sentence)
    for code in (*await schema_trust.foreign_code(db), *await tenants.code_in_reads(db)):
        yield error("permissions", f"{code.sentence}: it runs with the rights of the daemon")
    overloads = await schema_access.foreign_overloads(db)
    for overload in overloads[:MOST_OVERLOADS]:
        yield error(
            "permissions",
            f"the {overload.kind.lower()} {overload.name} of role {overload.role} may be called in"
            f" place of PostgreSQL's: DROP {overload.kind} {overload.name}",
        )
    if (more := len(overloads) - MOST_OVERLOADS) > 0:
        yield error("permissions", f"{more} more functions and operators are like this")


def _sentence(missing: MissingPrivilege) -> str:
    if missing.privilege is None:
        return f"role {missing.role} cannot see {missing.object_name}"
    is_function = missing.privilege == "EXECUTE"
    target = f"FUNCTION {missing.object_name}" if is_function else missing.object_name
    return (
        f"role {missing.role} lacks {missing.privilege} on {missing.object_name}:"
        f" GRANT {missing.privilege} ON {target} TO {missing.role}"
    )
