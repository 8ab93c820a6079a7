"""The result of a scenario: each promise, whether it held, and the figures behind it."""

from dataclasses import dataclass, field
from pathlib import Path

# Log events and phrases that mean a bug of the daemon, even during an outage.
ERRORS = ("loop.failed", "Traceback", "delivery.failed", "result.unstorable", "never retrieved")


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, with the figures that were measured."""

    promise: str
    held: bool
    measured: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.measured}"


@dataclass(slots=True)
class Report:
    """All findings of one scenario, in order."""

    findings: list[Finding] = field(default_factory=list)

    def check(self, promise: str, held: object, measured: object = "") -> None:
        """Add a promise and whether it held."""
        self.findings.append(Finding(promise, bool(held), str(measured)))

    def figure(self, name: str, measured: object) -> None:
        """Add a figure for information, without a promise."""
        self.check(name, True, measured)

    def check_log(self, log: Path) -> None:
        """Check that no daemon logged a bug of its own."""
        errors = errors_logged(log)
        self.check("no errors of the daemon in its log", not errors, errors[:3])

    @property
    def broken(self) -> list[str]:
        """The promises that did not hold; tests assert that there are none."""
        return [str(finding) for finding in self.findings if not finding.held]


def errors_logged(log: Path) -> list[str]:
    """Return the lines of a daemon's log that report a bug of the daemon."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if any(error in line for error in ERRORS)]
