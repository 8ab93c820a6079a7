"""
Write the software bill of materials of a deployment: `python3 dev.py sbom [FILE]`.

CycloneDX 1.6 as JSON: every pin of `requirements.lock` that this Python and this machine need, with
the hashes from there, its licence as its own metadata declares it, and what depends on what; and
the scripts that the console's pages load.
"""

import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.supply_chain.pins import ROOT, RUNTIME, Pin, read_pins

PROJECT = "penguinmails-webhooks"
FILE = ROOT / "dist" / "sbom.cdx.json"
SCRIPTS = ROOT / "frontend" / "package-lock.json"
HASHES = {"sha512": HashAlgorithm.SHA_512}


def main(arguments: list[str]) -> None:
    """Write the file; exits with a message if it would be wrong."""
    file = Path(arguments[0]) if arguments else FILE
    pins = [pin for pin in read_pins(RUNTIME) if pin.applies_here]
    document = sbom(pins)
    # This import compiles a grammar for two seconds, which tests that write no file do not need.
    from cyclonedx.validation.json import JsonStrictValidator

    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(document):
        sys.exit(f"The bill of materials does not satisfy the schema of CycloneDX: {error}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document)
    print(f"{file}: {len(pins)} packages.")


def sbom(pins: list[Pin]) -> str:
    """Return the document. Exits with a message if what is installed is not what is pinned."""
    bom = Bom()
    bom.metadata.component = project = _component(PROJECT, metadata.version(PROJECT))
    project.type = ComponentType.APPLICATION
    components = {PROJECT: project, **{pin.name: _pinned_component(pin) for pin in pins}}
    scripts = list(_scripts())
    bom.components.update([*(components[pin.name] for pin in pins), *scripts])
    for name, component in components.items():
        bom.register_dependency(component, [components[each] for each in requires(name)])
    bom.register_dependency(project, scripts)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def requires(name: str) -> Iterator[str]:
    """Yield the names of the packages that this one needs here, without its extras."""
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def _pinned_component(pin: Pin) -> Component:
    installed = metadata.version(pin.name)
    if installed != pin.version:
        sys.exit(f"{RUNTIME.name} pins {pin.name} {pin.version}, and {installed} is installed.")
    component = _component(pin.name, pin.version)
    component.hashes.update(HashType(alg=HashAlgorithm.SHA_256, content=h) for h in pin.hashes)
    return component


def _scripts() -> Iterator[Component]:
    """Yield the packages of npm whose scripts are in the wheel."""
    for path, locked in json.loads(SCRIPTS.read_text())["packages"].items():
        if not path:  # the folder itself
            continue
        name = path.removeprefix("node_modules/")
        purl = PackageURL("npm", name=name, version=locked["version"])
        algorithm, _, digest = locked["integrity"].partition("-")
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=locked["version"],
            bom_ref=purl.to_string(),
            purl=purl,
            hashes=[HashType(alg=HASHES[algorithm], content=b64decode(digest).hex())],
            licenses=[_licence(locked["license"])],
        )


def _component(name: str, version: str) -> Component:
    purl = PackageURL("pypi", name=name, version=version)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=purl.to_string(),
        purl=purl,
        licenses=list(_licences(name)),
    )


def _licences(name: str) -> Iterator[License]:
    """Yield what the metadata declares, in the newest of its three ways to say it."""
    declared = metadata.metadata(name)
    stated = declared.get_all("License-Expression") or declared.get_all("License")
    classifiers = [each.split(" :: ") for each in declared.get_all("Classifier") or []]
    named = [words[-1] for words in classifiers if words[0] == "License"]
    yield from map(_licence, stated or named)


def _licence(declared: str) -> License:
    return LicenseFactory().make_from_string(
        declared, license_acknowledgement=LicenseAcknowledgement.DECLARED
    )


if __name__ == "__main__":
    main(sys.argv[1:])
