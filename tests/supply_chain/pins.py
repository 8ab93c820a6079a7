"""The pins of a lock file: exact versions, each with the hashes of every file that may be used."""

from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "requirements.lock"
DEVELOPMENT = ROOT / "requirements-dev.lock"


@dataclass(frozen=True, slots=True)
class Pin:
    """`requirement` is `name==version` and perhaps a marker; `hashes` are hexadecimal SHA-256."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The version, without `==`."""
        return str(self.requirement.specifier).removeprefix("==")

    @property
    def applies_here(self) -> bool:
        """Whether this Python, on this machine, needs it."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def read_pins(lock: Path) -> list[Pin]:
    """
    Return the pins of a lock file, in its order.

    Raises ValueError for a line that pins nothing, such as an option or a file's URL.
    """
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [_pin(line) for line in "\n".join(lines).replace("\\\n", "").splitlines() if line]


def _pin(line: str) -> Pin:
    requirement, *options = line.split(" --hash=sha256:")
    parsed = Requirement(requirement)
    [specifier] = parsed.specifier
    if parsed.url or specifier.operator != "==" or "*" in specifier.version:
        raise ValueError(f"not pinned: {requirement}")
    return Pin(parsed, frozenset(option.strip() for option in options))
