"""Options that several commands share: the configuration file, JSON output, webhook secrets."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from daemon.core.errors import UsageError

if TYPE_CHECKING:
    from daemon.config import Config

SECRET_VARIABLE = "WEBHOOK_SECRET"


def switch(name: str, description: str) -> Any:
    """An option without a value, such as `--json`."""
    return typer.Option(name, help=description, metavar="")


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration file.", show_default=False, metavar="FILE"),
]
TenantOption = Annotated[
    UUID | None,
    typer.Option(help="Only what belongs to this tenant.", show_default=False, metavar="UUID"),
]
JsonOption = Annotated[bool, switch("--json", "Print JSON, for programs.")]


def load_config(path: Path | None) -> "Config":
    """
    Load the configuration, by default from the usual places, and set up logging.

    Raises ConfigError.
    """
    from daemon import config, logs

    loaded = config.load(path)
    logs.configure(loaded.log.format, loaded.log.level)
    return loaded


def secrets_given(options: Sequence[str], *, needed: bool = False) -> list[str]:
    """
    The secrets to verify signatures with: from `--secret`, else from the environment, else none.

    Raises UsageError when one is empty, or when none is given though one is `needed`.
    """
    environment = os.environ.get(SECRET_VARIABLE)
    secrets = list(options) or ([environment] if environment else [])
    if not all(secrets):
        raise UsageError("--secret: the secret is empty")
    if needed and not secrets:
        raise UsageError(f"--secret: give the webhook's secret, or set {SECRET_VARIABLE}")
    return secrets
