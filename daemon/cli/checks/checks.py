"""
What `webhookd check` looks at, in the order in which one thing needs the other.

Each look yields findings as it makes them, so that ten thousand webhooks take no memory and no
patience; nothing is changed by looking.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

from daemon import config, logs, wiring
from daemon.cli.checks.database import on_permissions, on_version
from daemon.cli.checks.finding import Finding, Mark
from daemon.cli.checks.webhooks import on_secrets, on_webhooks
from daemon.cli.support.options import connected, database_of
from daemon.config import Config
from daemon.config.toml_file import CONFIG_VARIABLE, DEFAULT_PATHS
from daemon.core.errors import (
    DatabaseUnavailableError,
    EmbeddedPostgresError,
    MailError,
    SchemaError,
)
from daemon.secrets.vault import Vault
from daemon.store import migrations
from daemon.store.database import Connection


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
        yield Finding(Mark.WRONG, "database", f"{loaded.database.display_name()}: {error}")


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
        vault = Vault(wiring.master_keys(loaded))
        async for finding in on_secrets(db, vault):
            yield finding
        async for finding in on_webhooks(db, wiring.egress_policy(loaded), vault):
            yield finding


def on_configuration(path: Path | None) -> Finding:
    """Which file it was."""
    named = path or os.environ.get(CONFIG_VARIABLE)
    file = Path(named) if named else next((path for path in DEFAULT_PATHS if path.exists()), None)
    found = str(file) if file else "no file: defaults and environment alone"
    return Finding(Mark.GOOD, "configuration", found)


async def on_mail(loaded: Config) -> AsyncIterator[Finding]:
    """Whether the mail server lets us in; no mail is sent."""
    mailer = wiring.configured_mailer(loaded)
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
