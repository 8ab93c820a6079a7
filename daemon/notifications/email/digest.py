"""
The email about several webhooks: an entry for each, with its transitions in their order.

It is bounded, whatever the number of notices, and shows the webhooks of every tenant before the
many of one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from email.headerregistry import Address
from itertools import chain, zip_longest

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.notices import Email, LeasedNotice, NoticeKind
from daemon.notifications.email.formats import error_text
from daemon.notifications.email.message import Draft, EmailSettings, render
from daemon.notifications.email.render import message_id, transitions
from daemon.notifications.email.wording import later_change, title_of

MOST_ENTRIES = 50
MOST_TRANSITIONS = 6

# The most severe first; a subject counts webhooks by their last notice.
SEVERITY = (
    (NoticeKind.GONE, "paused"),
    (NoticeKind.PAUSED, "paused"),
    (NoticeKind.NEARLY_PAUSED, "soon to be paused"),
    (NoticeKind.HALF_WAY, "failing"),
    (NoticeKind.FAILING, "failing"),
    (NoticeKind.RECOVERED, "recovered"),
)
STATES = dict(SEVERITY)
RANKS = {kind: rank for rank, (kind, _) in enumerate(SEVERITY)}

TO_DO = (
    "Check that each failing endpoint is reachable and answers with a status from 200 to 299. After"
    " a pause, fix the endpoint, resume the webhook, then replay the events it missed."
)


def render_digest(
    notices: Sequence[LeasedNotice],
    settings: EmailSettings,
    *,
    to: Sequence[Address],
    for_administrators: bool,
) -> Email:
    """Render the email about notices of several webhooks, in the order of their writing."""
    webhooks = _by_webhook(notices)
    shown = _in_order(webhooks)[:MOST_ENTRIES]
    subject = _subject(notices, [each[-1] for each in webhooks])
    values = {
        "subject": subject,
        "entries": [_entry(each, settings.console_url) for each in shown],
        "more": _more(len(webhooks) - len(shown)),
        "to_do": TO_DO,
        "commands": _commands(for_administrators=for_administrators),
    }
    draft = Draft(
        template="digest",
        values=values,
        subject=subject,
        message_id=message_id(notices),
        date=notices[-1].leased_at,
        to=to,
    )
    return render(draft, settings)


def _by_webhook(notices: Iterable[LeasedNotice]) -> list[list[LeasedNotice]]:
    found: dict[WebhookId, list[LeasedNotice]] = {}
    for notice in notices:
        found.setdefault(notice.webhook_id, []).append(notice)
    return list(found.values())


def _in_order(webhooks: Iterable[list[LeasedNotice]]) -> list[list[LeasedNotice]]:
    """One webhook of each tenant, then the next of each; of a tenant's, the most severe first."""
    of_tenant: dict[TenantId, list[list[LeasedNotice]]] = {}
    for each in sorted(webhooks, key=lambda each: RANKS[each[-1].kind]):
        of_tenant.setdefault(each[-1].tenant_id, []).append(each)
    rounds = zip_longest(*of_tenant.values())
    return [each for each in chain.from_iterable(rounds) if each is not None]


def _subject(notices: Sequence[LeasedNotice], last: Sequence[LeasedNotice]) -> str:
    """`12 notices: 3 webhooks paused, 9 failing`."""
    counts = Counter(STATES[notice.kind] for notice in last)
    parts = [
        f"{counts[state]} {state}" for state in dict.fromkeys(STATES.values()) if counts[state]
    ]
    number, _, rest = parts[0].partition(" ")
    parts[0] = f"{number} webhook{'' if number == '1' else 's'} {rest}"
    return f"{len(notices)} notices: {', '.join(parts)}"


def _entry(notices: Sequence[LeasedNotice], console: str | None) -> dict[str, object]:
    """One webhook's variables for the template, all of them plain text."""
    last = notices[-1]
    reasons = [notice.reason for notice in notices if notice.reason]
    return {
        "title": title_of(last),
        "history": transitions(notices[-MOST_TRANSITIONS:]),
        "left_out": max(0, len(notices) - MOST_TRANSITIONS),
        "reason": error_text(reasons[-1]) if reasons else None,
        "later_change": later_change(last),
        "id": str(last.webhook_id),
        "tenant": str(last.tenant_id),
        "link": None if console is None else f"{console}/webhooks/{last.webhook_id}",
    }


def _more(webhooks: int) -> str | None:
    if not webhooks:
        return None
    return (
        f"And {webhooks} more webhook{'' if webhooks == 1 else 's'}: GET /api/webhooks lists all."
    )


def _commands(*, for_administrators: bool) -> list[tuple[str, str]]:
    """How to resume and to replay, each with a label; administrators get the shell's, too."""
    commands = [
        ("Resume", "POST /api/webhooks/<ID>/resume"),
        ("Replay", 'POST /api/replays {"webhookId": "<ID>", "from": "<time of the pause>"}'),
    ]
    if for_administrators:
        commands += [
            ("Shell", "webhookd resume <ID>"),
            ("Shell", "webhookd replay --webhook <ID> --from <time of the pause>"),
        ]
    return commands
