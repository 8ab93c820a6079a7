"""
Look up the pins of a deployment in the package index's advisories: `python3 dev.py audit`.

Exits with 0 if no advisory names a pin, with 1 if one does, and with 75 if that could not be found
out. pip-audit alone passes in that case: a mirror without advisories is silent about everything. So
it is first asked about a release that has advisories, and silence about that one means nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.supply_chain.pins import RUNTIME, read_pins

FOUND = 1
NOT_AUDITED = os.EX_TEMPFAIL
CONTROL = "jinja2==2.10"

# Advisories that do not concern this program, by id, each with the reason.
ACCEPTED: dict[str, str] = {}


class NotAuditedError(Exception):
    """The advisories could not be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Auditor:
    """Runs pip-audit: `timeout_s` bounds each request, twelve times as much a whole run."""

    timeout_s: int

    def control(self) -> None:
        """Raises NotAuditedError unless the advisories of a release that has some can be read."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "requirements.txt")
            file.write_text(CONTROL)
            [answer] = self._answers(file, "--no-deps")
        if not answer["vulns"]:
            raise NotAuditedError(f"it knows no advisory of {CONTROL}, which has several")

    def advisories(self, lock: Path) -> list[str]:
        """Return a line for each advisory of a pin. Raises NotAuditedError."""
        accepted = [f"--ignore-vuln={identifier}" for identifier in ACCEPTED]
        answers = self._answers(lock, "--require-hashes", *accepted)
        wanted = {pin.name for pin in read_pins(lock) if pin.applies_here}
        if missing := wanted - {answer["name"] for answer in answers}:
            raise NotAuditedError(f"nothing was said of {', '.join(sorted(missing))}")
        return [_line(answer, advisory) for answer in answers for advisory in answer["vulns"]]

    def _answers(self, requirements: Path, *options: str) -> list[dict[str, Any]]:
        report = self._run("--requirement", str(requirements), *options)
        answers: list[dict[str, Any]] = report["dependencies"]
        if skipped := [answer["skip_reason"] for answer in answers if "skip_reason" in answer]:
            raise NotAuditedError(skipped[0])
        return answers

    def _run(self, *options: str) -> Any:
        """Return pip-audit's report. Its exit code is 1 for an advisory and for any failure."""
        with tempfile.TemporaryDirectory() as cache:
            fixed = ["--vulnerability-service=pypi", "--format=json", "--progress-spinner=off"]
            fixed += ["--disable-pip", f"--timeout={self.timeout_s}", f"--cache-dir={cache}"]
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "pip_audit", *fixed, *options],
                    timeout=12 * self.timeout_s, capture_output=True, text=True, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise NotAuditedError("no complete answer in time") from error
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            raise NotAuditedError((done.stderr.splitlines() or ["no answer"])[-1]) from error


def _line(answer: dict[str, Any], advisory: dict[str, Any]) -> str:
    names = ", ".join([advisory["id"], *advisory["aliases"]])
    fixed = ", ".join(advisory["fix_versions"]) or "no release yet"
    return f"{answer['name']} {answer['version']}: {names}, fixed in {fixed}"


def main(arguments: list[str]) -> int:
    """Print the advisories, or that there are none, or why that is unknown; return the code."""
    parser = argparse.ArgumentParser(prog="dev.py audit", description="Look up known advisories.")
    parser.add_argument("--timeout", type=int, default=10, help="seconds for each request")
    auditor = Auditor(parser.parse_args(arguments).timeout)
    try:
        auditor.control()
        advisories = auditor.advisories(RUNTIME)
    except NotAuditedError as error:
        print(f"NOT AUDITED: the advisory database could not be asked: {error}")
        return NOT_AUDITED
    print("\n".join(advisories) or f"{RUNTIME.name}: no advisory is known.")
    return FOUND if advisories else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
