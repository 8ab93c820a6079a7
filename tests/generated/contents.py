"""The generated files and their contents."""

from pathlib import Path

from tests.generated.configuration import configuration_page

ROOT = Path(__file__).parents[2]


def generated() -> dict[str, str]:
    """The content of each generated file, by its path in the repository."""
    return {"docs/configuration.md": configuration_page()}
