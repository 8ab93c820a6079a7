"""The figures of the demo that the database does not hold: measured at the sample endpoints."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from daemon.cli.demo.endpoints import ReceivedAttempt
from daemon.cli.receiver.signature_check import SignatureStatus


@dataclass(slots=True)
class Observations:
    """Signatures and latencies of the received attempts, and the names of paused webhooks."""

    signatures: Counter[SignatureStatus] = field(default_factory=Counter)
    latencies_seconds: list[float] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)

    def add(self, received: ReceivedAttempt) -> None:
        """Count one attempt."""
        self.signatures[received.signature.status] += 1
        if received.latency_seconds is not None:
            self.latencies_seconds.append(received.latency_seconds)

    @property
    def median_ms(self) -> float | None:
        """Median time from inserting an event to its first request, in milliseconds."""
        return median(self.latencies_seconds) * 1000 if self.latencies_seconds else None
