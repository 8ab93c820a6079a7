"""`webhookd rotate-secret`: a new secret for one webhook, beside the old one for a while."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import (
    ConfigOption,
    JsonOption,
    configured,
    connected,
    database_of,
    switch,
)
from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.config import Config

LONGEST_OVERLAP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """The one moment in which the secret is shown."""

    secret: str
    overlap_until: datetime | None

    def as_text(self) -> str:
        if self.overlap_until is None:
            return f"{self.secret}\nThe previous secret signs nothing any more."
        return f"{self.secret}\nThe previous secret signs too until {self.overlap_until:%F %T %Z}."

    def as_json(self) -> str:
        until = None if self.overlap_until is None else self.overlap_until.isoformat()
        return json.dumps({"secretKey": self.secret, "previousSecretExpiresAt": until})


@app.command("rotate-secret")
def rotate_secret(
    webhook: Annotated[UUID, typer.Argument(metavar="WEBHOOK", help="The webhook's id.")],
    overlap: Annotated[
        str,
        typer.Option(
            help="How long requests are signed with the previous secret too; 0s ends it at once.",
            metavar="DURATION",
        ),
    ] = "24h",
    replace: Annotated[
        bool,
        switch("--replace", "Replace the new secret of a rotation that is under way."),
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Give a webhook a new secret, and print it: it is shown this once."""
    made = asyncio.run(_rotate(configured(config), webhook, _overlap_of(overlap), replace=replace))
    print(made.as_json() if json else made.as_text())


def _overlap_of(text: str) -> timedelta:
    from daemon.config import parse_duration

    try:
        overlap = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--overlap: {error}") from None
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise UsageError(f"--overlap: {text} is not between 0s and 30d")
    return overlap


async def _rotate(
    config: "Config", webhook: UUID, overlap: timedelta, *, replace: bool
) -> NewSecret:
    from daemon.core.model.ids import WebhookId
    from daemon.secrets.credentials import new_secret, secret_place
    from daemon.secrets.vault import Vault
    from daemon.store.migrations import verify
    from daemon.store.secret_rotation import RotationUnderWay, rotate
    from daemon.wiring import master_keys

    secret, vault = new_secret(), Vault(master_keys(config))
    stored = secret if vault.newest is None else vault.seal(secret, place=secret_place(webhook))
    async with database_of(config) as url, connected(url) as db:
        await verify(db)
        async with db.transaction():
            rotated = await rotate(db, WebhookId(webhook), stored, overlap=overlap, replace=replace)
    if isinstance(rotated, RotationUnderWay):
        raise WebhookdError(str(rotated))
    if rotated is None:
        raise WebhookdError(f"there is no webhook {webhook}")
    return NewSecret(secret, rotated.overlap_until)
