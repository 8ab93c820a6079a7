"""The bill of materials: complete, and as pinned and declared."""

import json
from base64 import b64encode
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.supply_chain import sbom
from tests.supply_chain.pins import RUNTIME, Pin, read_pins

PINS = {pin.name: pin for pin in read_pins(RUNTIME) if pin.applies_here}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The file as written, which has satisfied the schema of CycloneDX."""
    file = tmp_path_factory.mktemp("sbom") / "new" / "sbom.cdx.json"
    sbom.main([str(file)])
    return json.loads(file.read_text())


def test_it_describes_this_program(document: Any) -> None:
    described = document["metadata"]["component"]

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert (described["type"], described["name"]) == ("application", sbom.PROJECT)
    assert described["version"] == metadata.version(sbom.PROJECT)
    assert described["licenses"][0]["license"]["id"] == "Apache-2.0"


def test_every_pin_is_a_component_with_its_version_purl_and_hashes(document: Any) -> None:
    components = {each["name"]: each for each in document["components"]}

    assert components.keys() == PINS.keys() | {"htmx.org"}
    for name, pin in PINS.items():
        component = components[name]
        assert component["version"] == pin.version
        assert component["purl"] == f"pkg:pypi/{name}@{pin.version}"
        assert {each["alg"] for each in component["hashes"]} == {"SHA-256"}
        assert {each["content"] for each in component["hashes"]} == pin.hashes


def test_the_consoles_script_is_a_component_with_the_hash_of_its_package(document: Any) -> None:
    [script] = [each for each in document["components"] if each["name"] == "htmx.org"]
    locked = json.loads(sbom.SCRIPTS.read_text())["packages"]["node_modules/htmx.org"]

    [stated] = script["hashes"]
    assert script["purl"] == f"pkg:npm/htmx.org@{locked['version']}"
    assert stated["alg"] == "SHA-512"
    assert b64encode(bytes.fromhex(stated["content"])).decode() == locked["integrity"][7:]


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("asyncpg", {"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}),
        (
            "cryptography",
            {"expression": "Apache-2.0 OR BSD-3-Clause", "acknowledgement": "declared"},
        ),
        # Declared by nothing but a classifier.
        ("mdurl", {"license": {"name": "MIT License", "acknowledgement": "declared"}}),
    ],
)
def test_licences_are_those_that_the_packages_declare(
    document: Any, name: str, licence: dict[str, Any]
) -> None:
    [found] = [each["licenses"] for each in document["components"] if each["name"] == name]

    assert found == [licence]


def test_every_component_declares_a_licence(document: Any) -> None:
    assert [each["name"] for each in document["components"] if not each.get("licenses")] == []


def test_every_component_is_reached_from_the_program(document: Any) -> None:
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    reached, left = set(), [document["metadata"]["component"]["bom-ref"]]
    while left:
        reached.add(left.pop())
        left = [each for ref in reached for each in needs[ref] if each not in reached]

    assert reached == needs.keys()
    assert len(reached) == len(PINS) + 2


def test_an_installation_that_differs_from_the_lock_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("rich==1.0 --hash=sha256:00\n")
    pins: list[Pin] = read_pins(lock)

    with pytest.raises(SystemExit, match=r"pins rich 1\.0, and .+ is installed"):
        sbom.sbom(pins)
