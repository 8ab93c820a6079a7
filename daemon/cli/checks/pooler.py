"""Whether the settings about a pooler are those that its mode needs."""

from daemon.cli.checks.finding import Finding, error
from daemon.config import Config
from daemon.store.pooler import pooler_mistake


async def check_pooler(loaded: Config, url: str) -> Finding | None:
    """The fault in the settings about the pooler at `url`; None if there is none."""
    settings = loaded.database
    mistake = await pooler_mistake(url, pooled=settings.pooled, direct_url=settings.session_url())
    return None if mistake is None else error("pooler", mistake)
