"""The version of the installed program."""

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """Return the version, `0.1.0`, or `unknown` in a checkout that was never installed."""
    try:
        return version("penguinmails-webhooks")
    except PackageNotFoundError:
        return "unknown"
