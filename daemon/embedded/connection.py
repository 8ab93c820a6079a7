"""The role and the database of the embedded PostgreSQL, and its URL."""

from urllib.parse import quote

ROLE = DATABASE = "webhookd"


def server_url(port: int, password: str) -> str:
    """Return the superuser's URL, over TCP on 127.0.0.1."""
    return f"postgresql://{ROLE}:{quote(password, safe='')}@127.0.0.1:{port}/{DATABASE}"
