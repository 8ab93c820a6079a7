"""Whether notifications can be mailed."""

from collections.abc import AsyncIterator

from daemon.cli.checks.finding import Finding, error, ok, warning
from daemon.config import Config
from daemon.core.errors import MailError


async def check_mail(loaded: Config) -> AsyncIterator[Finding]:
    """Connect to the mail server and log in; no mail is sent. Without one, no finding."""
    if loaded.notifications.smtp_url is None:
        return
    from daemon.wiring.notifications import configured_mailer

    mailer = configured_mailer(loaded)
    assert mailer is not None
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
