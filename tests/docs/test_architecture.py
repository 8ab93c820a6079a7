"""docs/architecture.md: its paths exist, and it describes every package in the order of imports."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/architecture.md").read_text()
PATH = re.compile(r"(?<![\w/.…])(?:[a-z_0-9]+/)*[a-z_0-9.]+(?:/|\.(?:py|sql|md|toml))(?![\w/.])")


def paths() -> set[str]:
    """The paths in code spans and in the drawing."""
    drawing = "".join(line for line in TEXT.splitlines(keepends=True) if line.startswith("    "))
    spans = re.findall(r"`([^`\n]+)`", TEXT)
    return {path for text in [*spans, drawing] for path in PATH.findall(text)}


def test_every_path_exists() -> None:
    missing = [
        path
        for path in sorted(paths())
        if not (ROOT / path).exists() and not (ROOT / "daemon" / path).exists()
    ]

    assert missing == []


def test_the_steps_of_the_pipeline_are_in_the_drawing() -> None:
    drawing = TEXT.partition("## Packages")[0]
    steps = ["fanout", "dispatcher", "attempt", "result_writer"]

    places = [drawing.index(f"pipeline/{step}.py") for step in steps]

    assert places == sorted(places)


def test_the_layers_are_those_of_the_import_rules() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each["layers"] for each in contracts["contracts"] if each["type"] == "layers")

    described = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", TEXT, re.MULTILINE)

    assert described == [name for layer in layers for name in layer.split(" | ")]


def test_every_package_within_a_layer_is_described() -> None:
    packages = {
        f"{file.parent.relative_to(ROOT / 'daemon')}/"
        for file in (ROOT / "daemon").glob("*/*/**/__init__.py")
    }

    described = re.findall(r"^\| `([\w/]+/)` \| .+ \|$", TEXT, re.MULTILINE)

    assert set(described) == packages
    assert len(described) == len(packages)
