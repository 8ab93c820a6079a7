"""
A checkout with nothing in it but dev.py, where pip and the tools are fakes that record their calls.

These tests cover no real installation: the environment that runs them is one.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DEV_PY = Path(__file__).parents[2] / "dev.py"

# Records its arguments, waits while the file `hold` exists, then puts the tools into the venv.
PIP = """
import json, pathlib, sys, time
if __name__ == "__main__":
    site = pathlib.Path(__file__).parent
    with (site / "calls").open("a") as calls:
        print(json.dumps(["pip", *sys.argv[1:]]), file=calls)
    while (site / "hold").exists():
        time.sleep(0.01)
    if (site / f"pip-fails{sys.argv[-2]}").exists():
        sys.exit("no such package")
    folder = pathlib.Path(sys.argv[sys.argv.index("--python") + 1]).parent
    for name in ("ruff", "mypy", "lint-imports", "npm"):
        (folder / name).write_text(f"#!{sys.executable}\\n" + (site / "tool.py").read_text())
        (folder / name).chmod(0o755)
"""
TOOL = """
import json, os, pathlib, shutil, sys
name = pathlib.Path(sys.argv[0]).name
site = pathlib.Path(os.environ["PYTHONPATH"])
with (site / "calls").open("a") as calls:
    print(json.dumps([name, *sys.argv[1:]]), file=calls)
if name == "npm":
    assert shutil.which("npm") == sys.argv[0]
    print(os.getcwd())
if (site / f"{name}-fails").exists():
    sys.exit(f"{name} found a mistake")
print(f"{name} found nothing")
"""
PYTEST = """
import os, pathlib, sys
site = pathlib.Path(os.environ["PYTHONPATH"])
if (site / "pytest-hangs").exists():
    import signal, time
    try:
        print("arguments", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        time.sleep(0.5)
        print("cleaned up", flush=True)
        sys.exit(2)
print("arguments", sys.argv[1:], flush=True)
marks = sys.argv[-1]
fails = (site / "pytest-fails").exists() or (site / f"pytest-fails-{marks.split()[0]}").exists()
shares = [word.partition("=")[2] for word in sys.argv if word.startswith("--share=")]
if shares and not (site / "pytest-dies").exists():
    import json
    counts = {"failed": int(fails), "passed": 2, "skipped": 0}
    share = pathlib.Path(shares[0])
    (share / f"{os.getpid()}.json").write_text(json.dumps(counts))
print("one of pytest's failures" if fails else "all of pytest's tests passed")
sys.exit(int(fails) * 3)
"""
PROGRAM = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "cwd": os.getcwd(), "pid": os.getpid()}), flush=True)
sys.exit(7)
"""


@dataclass(frozen=True)
class Checkout:
    """`root` is the checkout; `site` is on the PYTHONPATH of everything that runs in it."""

    root: Path
    site: Path

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start dev.py in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, self.root / "dev.py", *arguments],
            cwd=cwd or self.root,
            env={**os.environ, "PYTHONPATH": str(self.site)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
        """Run dev.py; return its exit code and everything that it printed."""
        with self.start(*arguments, cwd=cwd) as process:
            printed, _ = process.communicate(timeout=60)
        return process.returncode, printed

    def calls(self, tool: str | None = None) -> list[list[str]]:
        """Return the calls of the fakes, each as the tool's name followed by its arguments."""
        file = self.site / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [call for call in map(json.loads, lines) if tool in {None, call[0]}]


def make_checkout(folder: Path) -> Checkout:
    """Create a checkout whose path contains a space."""
    root, site = folder / "check out", folder / "site"
    root.mkdir()
    site.mkdir()
    shutil.copy(DEV_PY, root)
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "requirements-dev.lock").write_text("some==1\n")
    (site / "pip.py").write_text(PIP)
    (site / "tool.py").write_text(TOOL)
    for name, source in (("pytest", PYTEST), ("daemon", PROGRAM)):
        (site / name).mkdir()
        (site / name / "__init__.py").touch()
        (site / name / "__main__.py").write_text(source)
    return Checkout(root, site)
