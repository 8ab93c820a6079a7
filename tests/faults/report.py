"""What a scenario found: each promise, whether it held, and the figures behind it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise; `measured` is what was seen."""

    promise: str
    held: bool
    measured: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.measured}"


@dataclass(slots=True)
class Report:
    """All findings of one scenario, in the order they were made."""

    findings: list[Finding] = field(default_factory=list)

    def note(self, promise: str, held: object, measured: object = "") -> None:
        self.findings.append(Finding(promise, bool(held), str(measured)))

    @property
    def broken(self) -> list[str]:
        """The promises that did not hold; what a test asserts to be none."""
        return [str(finding) for finding in self.findings if not finding.held]
