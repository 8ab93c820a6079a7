"""Builds the parts that send mails."""

from daemon.config import Config
from daemon.config.policies import (
    allowed_recipients,
    health_limits,
)
from daemon.core.policy.email_addresses import parse_address
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.notifications.confirmation_mails import ConfirmationMailContext, ConfirmationMails
from daemon.notifications.email import EmailSettings
from daemon.notifications.mail_server import MailServer
from daemon.notifications.notice_mail import NoticeMailContext
from daemon.notifications.notice_mails import NoticeMails
from daemon.notifications.notifier import SLOW_SECONDS, Notifier
from daemon.notifications.outgoing import MailSource
from daemon.notifications.recipients import RecipientPolicy
from daemon.notifications.records import Records
from daemon.notifications.smtp import Mailer
from daemon.notifications.timing import Timing
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database

# Of the page that takes the codes in mails, below admin.public_url.
CONFIRMATION_PATH = "confirm-email"


def build_notifiers(config: Config, database: Database, metrics: Metrics) -> tuple[Notifier, ...]:
    """The loops that send mails; none when no mail server is configured."""
    notifications = config.notifications
    mailer = configured_mailer(config)
    if mailer is None or notifications.from_ is None:
        return ()
    settings = EmailSettings(
        parse_address(notifications.from_), health_limits(config), _linked_pages(config)
    )
    timing = Timing()
    records = Records(database, poll_seconds=timing.poll_seconds)
    policy = RecipientPolicy(
        [parse_address(each) for each in notifications.to], allowed_recipients(config)
    )
    sources: list[MailSource] = [
        NoticeMails(NoticeMailContext(records, settings, metrics, timing), policy)
    ]
    if config.admin.public_url is not None:
        page_url = f"{config.admin.public_url}/{CONFIRMATION_PATH}"
        context = ConfirmationMailContext(records, settings, metrics, timing, page_url)
        sources.append(ConfirmationMails(context))
    slow = SlowTenants(slow_from=SLOW_SECONDS)
    return tuple(
        Notifier(database, mailer, sources, timing=timing, slow=slow, for_slow=for_slow)
        for for_slow in (False, True)
    )


def _linked_pages(config: Config) -> str | None:
    """The URL below which mails find a page for each webhook; None if there is none."""
    if config.notifications.console_url is not None:
        return config.notifications.console_url
    # Served with the API.
    return config.admin.public_url if config.admin.tokens else None


def configured_mailer(config: Config) -> Mailer | None:
    """Build the client of the configured mail server, if there is one."""
    url = config.notifications.smtp_url
    return None if url is None else Mailer(MailServer.from_url(url.get_secret_value()))
