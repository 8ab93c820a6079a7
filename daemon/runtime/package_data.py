"""Paths of the files that ship with the program."""

from fnmatch import fnmatchcase
from pathlib import Path

# Patterns of the names that `webhookd files` offers, each with its use; the first that fits counts.
USES = (
    ("config.example.toml", "every setting; a copy becomes /etc/penguinmails-webhooks/config.toml"),
    ("systemd/*.service", "unit, for /etc/systemd/system"),
    ("systemd/*.socket", "socket unit, for /etc/systemd/system"),
    ("systemd/*.sysusers.conf", "the daemon's user, for /etc/sysusers.d"),
    ("systemd/*.tmpfiles.conf", "the configuration's folder, for /etc/tmpfiles.d"),
    ("systemd/webhookd-admin", "runs commands as the unit does, for /usr/local/sbin"),
    ("sql/*.sql", "for psql, as a superuser"),
    ("migrations/*.sql", "the schema, which `webhookd migrate` applies"),
    ("completions/webhookd.bash", "for /usr/share/bash-completion/completions/webhookd"),
    ("completions/webhookd.zsh", "for /usr/share/zsh/vendor-completions/_webhookd"),
    ("completions/webhookd.fish", "for /usr/share/fish/vendor_completions.d"),
    ("man/*.1", "man page, for /usr/local/share/man/man1"),
    ("docs/*.yml", "alerts of Prometheus"),
    ("docs/*.json", "dashboard of Grafana"),
    ("docs/*.md", "documentation"),
    ("docs/*", "belongs to the documentation"),
    ("README.md", "documentation"),
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
