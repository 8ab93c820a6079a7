"""The address of a mail server, read from the configured URL."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class MailServer:
    """Host, port and login of a mail server; `str()` shows it without the login."""

    host: str
    port: int
    tls: bool  # from the first byte on
    user: str | None = None
    password: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str) -> "MailServer":
        """Read a validated URL: `smtp://user:password@host:port`, or the same with smtps."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        tls, user = parts.scheme == "smtps", parts.username
        default_port = 465 if tls else 25 if user is None else 587
        return cls(
            parts.hostname,
            parts.port or default_port,
            tls,
            None if user is None else unquote(user),
            unquote(parts.password or ""),
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'smtps' if self.tls else 'smtp'}://{host}:{self.port}"

    @property
    def is_this_machine(self) -> bool:
        """Judged by the name alone, because name servers decide what other names resolve to."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")
