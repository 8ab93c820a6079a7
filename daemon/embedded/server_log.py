"""The log of a PostgreSQL program that failed."""

from pathlib import Path


def failure_reason(log: Path) -> str:
    """Return the last error in the log without its prefix, or else the log's last line."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    for line in reversed(lines):
        for mark in ("FATAL:", "PANIC:", "error:"):
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1].strip() if lines else "it printed nothing"
