"""
What `webhookd check` looks at, in the order in which one thing needs the other.

Each look yields findings as it makes them, so that ten thousand webhooks take no memory and no
patience; nothing is changed by looking.
"""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from daemon import config, house, logs
from daemon.cli.options import connected, database_of
from daemon.config import Config
from daemon.config.sources import CONFIG_VARIABLE, PLACES
from daemon.core.errors import (
    DatabaseUnavailableError,
    EmbeddedPostgresError,
    MailError,
    SchemaError,
    UnreadableSecretError,
)
from daemon.core.event_types import EVENT_TYPES, nearest, takes_any
from daemon.core.matching.compiler import Unusable, compile_subscription
from daemon.core.model.attempts import Failure
from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import Credentials, StoredSecrets
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import EgressPolicy, judge_url
from daemon.core.wire.signing import standard_key
from daemon.egress.tls_context import UnusableCertificateError, load_client, verifying_context
from daemon.logs import without_secrets
from daemon.secrets.credentials import credentials_of
from daemon.secrets.vault import Vault
from daemon.store import migrations
from daemon.store.database import Connection
from daemon.store.secrets import count_by_key

OLDEST_POSTGRESQL = 14
# So many are named of those that may be many; the others are counted.
NAMED = 10
LONGEST_NAME = 100


class Mark(Enum):
    """How a thing is; the value is what is printed before it."""

    GOOD = "✓"
    WRONG = "✗"
    REMARK = "!"

    @property
    def colour(self) -> str:
        return {"✓": "green", "✗": "bold red", "!": "yellow"}[self.value]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; the ids are there when it is about one webhook."""

    mark: Mark
    subject: str
    sentence: str
    tenant_id: str | None = None
    webhook_id: str | None = None

    def as_json(self) -> dict[str, str]:
        told = {"status": self.mark.name.lower(), "check": self.subject, "message": self.sentence}
        if self.webhook_id is not None and self.tenant_id is not None:
            told |= {"tenantId": self.tenant_id, "webhookId": self.webhook_id}
        return told


async def all_findings(path: Path | None) -> AsyncIterator[Finding]:
    """Every check, until one fails that the others need. Raises ConfigError."""
    loaded = config.load(path)
    logs.configure(loaded.log.format, "error")
    yield on_configuration(path)
    async for finding in on_mail(loaded):
        yield finding
    try:
        async with database_of(loaded) as url, connected(url) as db:
            async for finding in on_database(db, loaded):
                yield finding
    except (DatabaseUnavailableError, EmbeddedPostgresError) as error:
        yield Finding(Mark.WRONG, "database", f"{loaded.database.place()}: {error}")


async def on_database(db: Connection, loaded: Config) -> AsyncIterator[Finding]:
    version = await on_version(db, loaded)
    yield version
    try:
        await migrations.verify(db)
    except SchemaError as error:
        yield Finding(Mark.WRONG, "schema", str(error))
        return
    if version.mark is Mark.WRONG:
        return
    yield Finding(Mark.GOOD, "schema", f"up to date: {migrations.known()[-1].name}")
    wrong = False
    async for finding in on_permissions(db, loaded):
        wrong |= finding.mark is Mark.WRONG
        yield finding
    if not wrong:
        vault = Vault(house.master_keys(loaded))
        async for finding in on_secrets(db, vault):
            yield finding
        async for finding in on_webhooks(db, house.egress_policy(loaded), vault):
            yield finding


def on_configuration(path: Path | None) -> Finding:
    """Which file it was."""
    named = path or os.environ.get(CONFIG_VARIABLE)
    file = Path(named) if named else next((place for place in PLACES if place.exists()), None)
    found = str(file) if file else "no file: defaults and environment alone"
    return Finding(Mark.GOOD, "configuration", found)


async def on_mail(loaded: Config) -> AsyncIterator[Finding]:
    """Whether the mail server lets us in; no mail is sent."""
    mailer = house.configured_mailer(loaded)
    if mailer is None:
        return
    try:
        async with mailer.session():
            pass
    except MailError as error:
        yield Finding(Mark.WRONG, "mail", str(error))
    else:
        yield Finding(Mark.GOOD, "mail", f"{mailer.server} lets us in")
    if not loaded.notifications.to:
        told = "notifications.to names nobody: who has no notification_email is not told"
        yield Finding(Mark.REMARK, "mail", told)


async def on_version(db: Connection, loaded: Config) -> Finding:
    version = str(await db.fetchval("SHOW server_version")).partition(" ")[0]
    shown = f"PostgreSQL {version}, {loaded.database.place()}"
    if db.get_server_version().major >= OLDEST_POSTGRESQL:
        return Finding(Mark.GOOD, "database", shown)
    return Finding(Mark.WRONG, "database", f"{shown}: must be {OLDEST_POSTGRESQL} or later")


# What the daemon's own statements do to each table.
NEEDED = {
    "webhooks": ("SELECT", "UPDATE"),
    "webhook_deliveries": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_events": ("SELECT", "UPDATE", "DELETE"),
    "webhook_event_inbox": ("SELECT", "UPDATE", "DELETE"),
    "webhook_notices": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_replays": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhookd_migrations": ("SELECT",),
}
NEEDED_BY_API = [("webhooks", "INSERT"), ("webhooks", "DELETE")]
LACKING = """
    SELECT needed.name, needed.privilege, to_regclass(needed.name) IS NULL AS unseen,
           current_user::text AS role
      FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
     WHERE to_regclass(needed.name) IS NULL
        OR NOT has_table_privilege(to_regclass(needed.name), needed.privilege)
"""
# Functions that may have been taken from PUBLIC. Those of triggers run whoever may call them.
FUNCTIONS = ("pg_notify(text, text)", "pg_current_snapshot()")
LACKING_FUNCTIONS = """
    SELECT name, current_user::text AS role
      FROM unnest($1::text[]) AS name
     WHERE to_regprocedure(name) IS NULL
        OR NOT has_function_privilege(to_regprocedure(name), 'EXECUTE')
"""
# Without its triggers a table still takes rows, and nobody hears of them.
SILENT_TRIGGERS = """
    SELECT wanted.name, wanted.on_table
      FROM (VALUES ('webhook_events_arrived', 'webhook_events'),
                   ('webhook_deliveries_due', 'webhook_deliveries'),
                   ('webhooks_resumed', 'webhooks'),
                   ('webhooks_secret_written', 'webhooks'),
                   ('webhooks_fresh_start', 'webhooks')) AS wanted (name, on_table)
      LEFT JOIN pg_trigger AS t ON t.tgname = wanted.name AND t.tgrelid = to_regclass(on_table)
     WHERE t.tgenabled IS DISTINCT FROM 'O' AND t.tgenabled IS DISTINCT FROM 'A'
"""


async def on_permissions(db: Connection, loaded: Config) -> AsyncIterator[Finding]:
    """What the daemon's role may not do though the daemon does it."""
    pairs = [(table, privilege) for table in NEEDED for privilege in NEEDED[table]]
    if loaded.admin.tokens:
        pairs += NEEDED_BY_API
    wrong = [
        f"role {row['role']} cannot see {row['name']}"
        if row["unseen"]
        else f"role {row['role']} lacks {row['privilege']} on {row['name']}"
        for row in await db.fetch(LACKING, [table for table, _ in pairs], [p for _, p in pairs])
    ]
    wrong += [
        f"role {row['role']} lacks EXECUTE on {row['name']}"
        for row in await db.fetch(LACKING_FUNCTIONS, FUNCTIONS)
    ]
    wrong += [
        f"the trigger {row['name']} on {row['on_table']} is disabled or missing"
        for row in await db.fetch(SILENT_TRIGGERS)
    ]
    for sentence in dict.fromkeys(wrong):
        yield Finding(Mark.WRONG, "permissions", sentence)
    if not wrong:
        role = await db.fetchval("SELECT current_user::text")
        yield Finding(Mark.GOOD, "permissions", f"role {role} may do all that the daemon does")


async def on_secrets(db: Connection, vault: Vault) -> AsyncIterator[Finding]:
    """Under which master keys the webhooks' secrets lie."""
    by_key = await count_by_key(db)
    plain = by_key.pop("", 0)
    newest = by_key.pop(vault.newest, 0) if vault.newest is not None else 0
    older = sum(by_key.pop(key, 0) for key in vault.key_ids)
    unreadable = sum(by_key.values())
    if vault.newest is None:
        yield _without_keys(unreadable)
        return
    told = f"{newest} webhooks sealed under the newest key, {older} under older ones, {plain} plain"
    yield Finding(Mark.GOOD, "secrets", told)
    if unreadable:
        told = f"those of {unreadable} webhooks cannot be opened with security.master_keys"
        yield Finding(Mark.WRONG, "secrets", told)


def _without_keys(sealed: int) -> Finding:
    if sealed:
        told = f"those of {sealed} webhooks are sealed, and no security.master_keys are set"
        return Finding(Mark.WRONG, "secrets", told)
    told = "no security.master_keys are set: webhooks' secrets lie plain in the database"
    return Finding(Mark.REMARK, "secrets", told)


WEBHOOKS = """
    SELECT id, tenant_id, endpoint_url, event_types, event_filters, is_active,
           secret_key, previous_secret_key, custom_headers, client_certificate, client_key
      FROM webhooks
     ORDER BY tenant_id, id
"""


async def on_webhooks(db: Connection, policy: EgressPolicy, vault: Vault) -> AsyncIterator[Finding]:
    """Each webhook that is not in order, then how many there are."""
    active = paused = unfit = idle = 0
    async with db.transaction(readonly=True):
        async for row in db.cursor(WEBHOOKS, prefetch=1000):
            active, paused = active + row["is_active"], paused + (not row["is_active"])
            found = list(on_webhook(row, policy, vault))
            unfit += any(finding.mark is Mark.WRONG for finding in found)
            for finding in found:
                yield finding
            if row["is_active"] and takes_nothing(row["event_types"]):
                idle += 1
                if idle <= NAMED:
                    yield _about(row, Mark.REMARK, _idle(row["event_types"]))
    if idle > NAMED:
        told = f"{idle - NAMED} more take {NO_TYPE}"
        yield Finding(Mark.REMARK, "webhooks", told)
    counted = f"{active} active, {paused} paused"
    verdict = f"{unfit} cannot be delivered to" if unfit else "every active one is in order"
    yield Finding(Mark.WRONG if unfit else Mark.GOOD, "webhooks", f"{counted}; {verdict}")


def on_webhook(row: Any, policy: EgressPolicy, vault: Vault) -> Iterator[Finding]:
    """What would keep this webhook's deliveries from being made; of a paused one, a remark."""
    wrong = Mark.WRONG if row["is_active"] else Mark.REMARK
    judged = judge_url(row["endpoint_url"], policy)
    if isinstance(judged, Refusal):
        # Up to the query first: a URL as bad as this one may not look like one to its end.
        shown = without_secrets(row["endpoint_url"].partition("?")[0])
        yield _about(row, wrong, f"{shown}: {judged.reason}")
    yield from _on_credentials(row, vault, wrong)
    types = row["event_types"]
    matcher = compile_subscription(None if types is None else tuple(types), row["event_filters"])
    if isinstance(matcher, Unusable):
        yield _about(row, wrong, f"no event matches: {matcher.reason}")


NO_TYPE = f"none of the {len(EVENT_TYPES)} event types"


def takes_nothing(names: Sequence[str | None] | None) -> bool:
    """Whether these name types, and none of ours; those of the application's own are not wrong."""
    return bool(names) and not any(name and takes_any(name) for name in names or ())


def _idle(names: Sequence[str | None]) -> str:
    first = next((name for name in names if name), "")[:LONGEST_NAME]
    near = nearest(first)
    hint = f"; did you mean {near}?" if near else ""
    return f"it takes {NO_TYPE}, but {first}{hint}"


def _on_credentials(row: Any, vault: Vault, wrong: Mark) -> Iterator[Finding]:
    try:
        found = credentials_of(_stored(row), vault)
        if isinstance(found, Credentials) and found.client is not None:
            load_client(verifying_context(), found.client)
    except (UnreadableSecretError, UnusableCertificateError) as error:
        yield _about(row, wrong, str(error))
        return
    if isinstance(found, Failure):
        yield _about(row, wrong, found.message)
    elif standard_key(found.secret) is None:
        told = "the secret is not base64 after whsec_: no Standard Webhooks headers are sent"
        yield _about(row, Mark.REMARK, told)


def _stored(row: Any) -> StoredSecrets:
    return StoredSecrets(
        WebhookId(row["id"]),
        row["secret_key"],
        row["previous_secret_key"],
        row["custom_headers"],
        row["client_certificate"],
        row["client_key"],
    )


def _about(row: Any, mark: Mark, sentence: str) -> Finding:
    tenant_id, webhook_id = str(row["tenant_id"]), str(row["id"])
    paused = "" if row["is_active"] else " (paused)"
    told = f"{webhook_id} of tenant {tenant_id}{paused}: {sentence}"
    return Finding(mark, "webhook", told, tenant_id, webhook_id)
