"""Where the files that travel with the program lie: in the wheel, or at the root of a checkout."""

from pathlib import Path


def package_file(name: str) -> Path:
    """The path of `migrations`, `config.example.toml` or `systemd`, however we were installed."""
    package = Path(__file__).parents[1]
    installed = package / "bundled" / name
    return installed if installed.exists() else package.parent / name
