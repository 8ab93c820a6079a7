"""Paths of the files that ship with the program."""

from fnmatch import fnmatchcase
from pathlib import Path

# Patterns of the names that `webhookd files` offers, each with its use; the first that fits counts.
USES = (
    ("config.example.toml", "every setting, with its default"),
    ("systemd/*.service", "unit, for /etc/systemd/system"),
    ("systemd/*.socket", "socket, for /etc/systemd/system"),
    ("systemd/*.sysusers.conf", "its user, for /etc/sysusers.d"),
    ("systemd/*.tmpfiles.conf", "its folder, for /etc/tmpfiles.d"),
    ("systemd/webhookd-admin", "for /usr/local/sbin"),
    ("sql/*.sql", "for psql, as a superuser"),
    ("migrations/*.sql", "what `webhookd migrate` applies"),
    ("completions/webhookd.bash", "completion of bash"),
    ("completions/webhookd.zsh", "completion of zsh, as _webhookd"),
    ("completions/webhookd.fish", "completion of fish"),
    ("man/*.1", "man page"),
    ("docs/*.yml", "alerts of Prometheus"),
    ("docs/*.lnav.json", "format of logs for lnav"),
    ("docs/*.json", "dashboard of Grafana"),
    ("docs/*.md", "documentation"),
    ("docs/*", "belongs to the documentation"),
    ("README.md", "documentation"),
    ("requirements.lock", "versions and hashes, for pip"),
    ("CHANGELOG.md", "documentation"),
)


def package_root() -> Path:
    """Return the folder of what ships beside the code, in a wheel or in a checkout."""
    package = Path(__file__).parents[1]
    bundled = package / "bundled"
    return bundled if bundled.exists() else package.parent


def package_file(name: str) -> Path:
    """Return the path of `migrations`, `config.example.toml`, `systemd` or another name."""
    return package_root() / name


def shipped_files() -> dict[str, str]:
    """Return the uses of the files that `webhookd files` offers, by name, sorted."""
    root = package_root()
    folders = sorted({pattern.partition("/")[0] for pattern, _ in USES})
    found = [
        file.relative_to(root).as_posix()
        for folder in folders
        for file in ([root / folder] if (root / folder).is_file() else (root / folder).rglob("*"))
        if file.is_file()
    ]
    uses = {name: _use(name) for name in sorted(found)}
    return {name: use for name, use in uses.items() if use is not None}


def _use(name: str) -> str | None:
    return next((use for pattern, use in USES if fnmatchcase(name, pattern)), None)
