"""
Write the lock files: `python3 dev.py lock`; `--upgrade` moves pins that still satisfy their bounds.

`requirements.lock` pins what a deployment installs, `requirements-dev.lock` that and the rest of
`.venv`. Both hold for every supported Python. Every pin of a deployment has a wheel for it on both
architectures, so that an installation runs no package's build script.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.supply_chain.pins import DEVELOPMENT, ROOT, RUNTIME

OLDEST_PYTHON, *NEWER_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")


def main(arguments: list[str]) -> None:
    """Write both files; the arguments are passed to `uv pip compile`. Exits if uv fails."""
    compile_lock(RUNTIME, arguments)
    # Deployments come first: a tool for development must not hold back what they run.
    extras = ["--extra=embedded", "--extra=otel", "--extra=dev", "--constraint", RUNTIME.name]
    compile_lock(DEVELOPMENT, [*extras, *arguments])
    for python in (OLDEST_PYTHON, *NEWER_PYTHONS):
        for platform in PLATFORMS:
            require_wheels(python, platform)
    print(f"{RUNTIME.name} and {DEVELOPMENT.name} are up to date.")


def compile_lock(lock: Path, arguments: list[str]) -> None:
    """Resolve pyproject.toml into `lock`, which keeps the pins that it has where it can."""
    # The header names this command, so that no option of a machine, such as a mirror, is recorded.
    header = "--custom-compile-command=python3 dev.py lock"
    options = ["--universal", f"--python-version={OLDEST_PYTHON}", "--generate-hashes", header]
    _uv("compile", "pyproject.toml", "--output-file", lock.name, *options, *arguments)


def require_wheels(python: str, platform: str) -> None:
    """Exit with uv's message if a pin of a deployment has no wheel for this Python and platform."""
    machine = [f"--python-version={python}", f"--python-platform={platform}"]
    only_wheels = ["--only-binary=:all:", "--require-hashes", "--dry-run"]
    with tempfile.TemporaryDirectory() as empty:
        target = f"--target={empty}"
        _uv("install", "--requirements", RUNTIME.name, *machine, *only_wheels, target)


def _uv(command: str, *arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    # The system's authorities, as pip trusts them: the network may have one of its own.
    environment = {**os.environ, "UV_NO_CONFIG": "1", "UV_SYSTEM_CERTS": "1"}
    done = subprocess.run(
        [uv, "pip", command, "--quiet", *arguments], cwd=ROOT, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"uv pip {command} failed: {' '.join(arguments)}")


if __name__ == "__main__":
    main(sys.argv[1:])
