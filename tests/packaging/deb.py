"""
Build a Debian package with dpkg-deb: `python3 dev.py deb [FOLDER]`, by default into dist.

It holds the pins of `requirements.lock`, each checked against its hash, in a virtual environment
of its own for the Python of the Debian release that builds it, and is for that release.
"""

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

from tests.supply_chain.pins import ROOT, RUNTIME

NAME = "penguinmails-webhooks"
HOME = f"usr/lib/{NAME}"
SYSTEM_PYTHON = Path("/usr/bin/python3")
SCRIPTS = Path(__file__).parent / "debian"
# As a checkout's installation has it, in the units.
OPT = f"/opt/{NAME}"
PLACES = {
    "systemd/*.service": "lib/systemd/system",
    "systemd/*.socket": "lib/systemd/system",
    f"systemd/{NAME}.sysusers.conf": f"usr/lib/sysusers.d/{NAME}.conf",
    f"systemd/{NAME}.tmpfiles.conf": f"usr/lib/tmpfiles.d/{NAME}.conf",
    "systemd/webhookd-admin": "usr/sbin/webhookd-admin",
    "completions/webhookd.bash": "usr/share/bash-completion/completions/webhookd",
    "completions/webhookd.zsh": "usr/share/zsh/vendor-completions/_webhookd",
    "completions/webhookd.fish": "usr/share/fish/vendor_completions.d/webhookd.fish",
    "config.example.toml": f"usr/share/doc/{NAME}/config.example.toml",
    "tests/packaging/debian/copyright": f"usr/share/doc/{NAME}/copyright",
    "tests/packaging/debian/lintian-overrides": f"usr/share/lintian/overrides/{NAME}",
}
COMPRESSED = {
    "man/webhookd.1": "usr/share/man/man1/webhookd.1.gz",
    "CHANGELOG.md": f"usr/share/doc/{NAME}/CHANGELOG.md.gz",
}
MAINTAINER = "PenguinMails <webhooks@example.com>"
CHANGELOG = """\
{name} ({version}) stable; urgency=medium

  * See CHANGELOG.md.gz.

 -- {maintainer}  {date}
"""
# One page describes both programs.
ADMIN_PAGE = ".so man1/webhookd.1\n"
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Section: net
Priority: optional
Depends: libc6 (>= 2.28), python3 (>= {python}), python3 (<< {next_python}), systemd
Suggests: postgresql
Installed-Size: {kilobytes}
Description: delivers PenguinMails events from PostgreSQL to webhooks
 The daemon webhookd sends events that the application commits to
 PostgreSQL to customers' webhooks: signed, retried and recorded.
 .
 Its Python packages are included, as the release's lock file pins them.
"""


def main(arguments: list[str]) -> None:
    """Build the package and print its path; exits with a message where that is impossible."""
    if shutil.which("dpkg-deb") is None:
        sys.exit("dpkg-deb is not installed: a Debian package is built on Debian.")
    python = python_version(SYSTEM_PYTHON)
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        sys.exit(f"{SYSTEM_PYTHON} is Python {python}: run dev.py with that version.")
    folder = Path(arguments[0]) if arguments else ROOT / "dist"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="webhookd-deb-") as scratch:
        tree = Path(scratch, "tree")
        tree.mkdir(mode=0o755)
        version = install_program(tree, Path(scratch))
        install_files(tree)
        write_control(tree, version, python)
        package = folder / f"{NAME}_{version}_{architecture()}.deb"
        run("dpkg-deb", "-Zgzip", "--root-owner-group", "--build", str(tree), str(package))
    print(package)


def python_version(python: Path) -> str:
    """The version of an interpreter, such as `3.11`."""
    return output(str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    return output("dpkg", "--print-architecture")


def install_program(tree: Path, scratch: Path) -> str:
    """Put a virtual environment with everything pinned into the tree; returns the version."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(scratch))
    [wheel] = scratch.glob("*.whl")
    python = python_version(SYSTEM_PYTHON)
    home, packages = tree / HOME, tree / HOME / "lib" / f"python{python}" / "site-packages"
    target = ["--no-compile", "--target", str(packages)]
    pip("--require-hashes", "--only-binary=:all:", *target, "-r", str(RUNTIME))
    pip("--no-deps", "--upgrade", *target, str(wheel))
    shutil.rmtree(packages / "bin", ignore_errors=True)
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(f"../../../bin/python{python}")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    write(home / "bin" / "webhookd", PROGRAM.format(home=f"/{HOME}"), mode=0o755)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/webhookd").symlink_to(f"../lib/{NAME}/bin/webhookd")
    return wheel.name.split("-")[1]


PROGRAM = "#!{home}/bin/python -I\nfrom daemon.cli import main\n\nmain()\n"


def install_files(tree: Path) -> None:
    """Put units, completions, man page and documents where Debian has them."""
    for pattern, place in PLACES.items():
        for source in ROOT.glob(pattern):
            target = tree / place
            if "*" in pattern:
                target /= source.name
            text = source.read_text().replace(f"{OPT}/bin", f"/{HOME}/bin")
            write(target, installed(text), mode=0o755 if os.access(source, os.X_OK) else 0o644)
    for name, place in COMPRESSED.items():
        target = tree / place
        write_compressed(target, (ROOT / name).read_bytes())
    write_compressed(tree / "usr/share/man/man8/webhookd-admin.8.gz", ADMIN_PAGE.encode())
    for folder, _, _ in os.walk(tree):
        Path(folder).chmod(0o755)


def installed(text: str) -> str:
    """Leave out the first comment of a unit, which says where to copy it."""
    first, _, rest = text.partition("\n\n")
    is_advice = first.startswith("# ") and "opy this file to" in first and rest.startswith("[")
    return rest if is_advice else text


def write_control(tree: Path, version: str, python: str) -> None:
    """Write what dpkg reads: the package's description and its scripts."""
    major, minor = python.split(".")
    write_changelog(tree, version)
    kilobytes = sum(file.lstat().st_size for file in files(tree)) // 1024
    control = CONTROL.format(
        name=NAME,
        maintainer=MAINTAINER,
        version=version,
        architecture=architecture(),
        python=python,
        next_python=f"{major}.{int(minor) + 1}",
        kilobytes=kilobytes,
    )
    write(tree / "DEBIAN" / "control", control)
    for script in maintainer_scripts():
        write(tree / "DEBIAN" / script.name, script.read_text(), mode=0o755)


def write_changelog(tree: Path, version: str) -> None:
    """Write the changelog in Debian's format, which leads to ours."""
    date = formatdate((ROOT / "CHANGELOG.md").stat().st_mtime)
    text = CHANGELOG.format(name=NAME, version=version, maintainer=MAINTAINER, date=date)
    write_compressed(tree / f"usr/share/doc/{NAME}/changelog.gz", text.encode())


def maintainer_scripts() -> list[Path]:
    """The scripts that dpkg runs."""
    return sorted(SCRIPTS.glob("p*"))


def files(tree: Path) -> Iterator[Path]:
    """Every file below a folder."""
    return (path for path in tree.rglob("*") if path.is_symlink() or path.is_file())


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def write_compressed(path: Path, data: bytes) -> None:
    """Write a file that Debian wants compressed, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 9, mtime=0))


def pip(*arguments: str) -> None:
    """Run the pip of the interpreter from which this environment was made."""
    base = getattr(sys, "_base_executable", sys.executable)
    quiet = ("-q", "--disable-pip-version-check", "--root-user-action=ignore")
    run(base, "-I", "-m", "pip", "install", *quiet, *arguments)


def run(*command: str) -> None:
    """Run a command in the checkout; exits if it fails."""
    if subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode:
        sys.exit(f"{' '.join(command[:4])} … failed: see its message above.")


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1:])
