"""Paths of the files that ship with the program."""

from pathlib import Path


def package_file(name: str) -> Path:
    """Return the path of `migrations`, `config.example.toml` or `systemd`, wheel or checkout."""
    package = Path(__file__).parents[1]
    bundled = package / "bundled" / name
    return bundled if bundled.exists() else package.parent / name
