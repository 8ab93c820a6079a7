"""Whether notifications can be mailed."""

from collections.abc import AsyncIterator

from daemon import wiring
from daemon.cli.checks.finding import Finding, error, ok, warning
from daemon.config import Config
from daemon.core.errors import MailError


async def check_mail(loaded: Config) -> AsyncIterator[Finding]:
    """Connect to the mail server and log in; no mail is sent. Without one, no finding."""
    mailer = wiring.configured_mailer(loaded)
    if mailer is None:
        return
    try:
        async with mailer.session():
            pass
    except MailError as failure:
        yield error("mail", str(failure))
    else:
        yield ok("mail", f"{mailer.server} accepts our session")
    if not loaded.notifications.to:
        yield warning(
            "mail",
            "notifications.to is empty: webhooks without a notification_email get no mail",
        )
