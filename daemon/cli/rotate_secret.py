"""`webhookd rotate-secret`: a new secret for a webhook, used beside the previous one at first."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, load_config, switch
from daemon.core.errors import UsageError, WebhookdError
from daemon.core.wire.timestamps import rfc3339

if TYPE_CHECKING:
    from daemon.config import Config

LONGEST_OVERLAP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """The new secret, in plain text, and until when the previous one is used beside it."""

    secret: str
    overlap_until: datetime | None

    def as_text(self) -> str:
        """Two lines for a person: the secret, and what becomes of the previous one."""
        if self.overlap_until is None:
            return f"{self.secret}\nThe previous secret is no longer used."
        until = rfc3339(self.overlap_until)
        return f"{self.secret}\nRequests are also signed with the previous secret until {until}."

    def as_json(self) -> str:
        """The same as a JSON object."""
        until = None if self.overlap_until is None else rfc3339(self.overlap_until)
        return json.dumps({"secretKey": self.secret, "previousSecretExpiresAt": until})


@app.command("rotate-secret")
def rotate_secret(
    webhook: Annotated[UUID, typer.Argument(metavar="WEBHOOK", help="The webhook's id.")],
    overlap: Annotated[
        str,
        typer.Option(
            help="How long to sign with the previous secret too; 0s ends its use at once.",
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
    """Give a webhook a new secret and print it; it cannot be shown again."""
    new_secret = asyncio.run(
        _rotate(load_config(config), webhook, _parse_overlap(overlap), replace=replace)
    )
    print(new_secret.as_json() if json else new_secret.as_text())


def _parse_overlap(text: str) -> timedelta:
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
    from daemon.cli.support.audit import command_record
    from daemon.cli.support.databases import verified_connection
    from daemon.config.policies import master_keys
    from daemon.core.model.ids import WebhookId
    from daemon.secrets.encryption import Vault
    from daemon.secrets.new_secret import new_secret
    from daemon.secrets.sealing import seal_secret
    from daemon.store import audit
    from daemon.store.secret_rotation import Rotated, RotationUnderWay, rotate

    secret, vault = new_secret(), Vault(master_keys(config))
    stored = seal_secret(secret, webhook, vault)
    async with verified_connection(config) as db, db.transaction():
        rotated = await rotate(db, WebhookId(webhook), stored, overlap=overlap, replace=replace)
        if isinstance(rotated, Rotated):
            await audit.insert(
                db,
                command_record(
                    "rotateWebhookSecret",
                    await audit.tenant_of(db, WebhookId(webhook)),
                    object_type="webhook",
                    object_id=webhook,
                ),
            )
    if isinstance(rotated, RotationUnderWay):
        raise WebhookdError(str(rotated))
    if rotated is None:
        raise WebhookdError(f"there is no webhook {webhook}")
    return NewSecret(secret, rotated.overlap_until)
