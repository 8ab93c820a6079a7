"""The email about one webhook: its last transition in full, and those that came with it."""

from collections.abc import Sequence
from email.headerregistry import Address
from hashlib import sha256

from daemon.core.model.notices import AttemptSummary, Email, LeasedNotice
from daemon.notifications.email.formats import error_text, name_text, time_text, url_text
from daemon.notifications.email.message import Draft, EmailSettings, render
from daemon.notifications.email.wording import SUBJECT_ENDINGS, Wording, later_change, wording_of


def render_email(
    notice: LeasedNotice,
    settings: EmailSettings,
    *,
    to: Sequence[Address],
    for_administrators: bool,
    earlier: Sequence[LeasedNotice] = (),
) -> Email:
    """
    Render the email to these addresses; `for_administrators` adds shell commands.

    `earlier` are notices of the same webhook that are mailed together with this one, which is the
    last.
    """
    wording = wording_of(notice, settings.limits)
    values = _template_values(wording, notice, settings, for_administrators=for_administrators)
    notices = [*earlier, notice]
    history = transitions(notices) if earlier else []
    draft = Draft(
        template="notice",
        values={**values, "history": history},
        subject=wording.subject,
        message_id=message_id(notices),
        date=notice.leased_at,
        to=to,
    )
    return render(draft, settings)


def message_id(notices: Sequence[LeasedNotice]) -> str:
    """
    The same each time that the same notices are mailed, so that a mail system can recognise an
    email that was sent twice; an email with another notice besides must not look like a copy.
    """
    if len(notices) == 1:
        return f"notice-{notices[0].id}-{notices[0].webhook_id}"
    ids = " ".join(f"{notice.id}-{notice.webhook_id}" for notice in notices)
    return f"notices-{sha256(ids.encode()).hexdigest()[:40]}"


def transitions(notices: Sequence[LeasedNotice]) -> list[tuple[str, str]]:
    """The time and the words of each notice, such as `is failing`, in their order."""
    return [(time_text(each.created_at), SUBJECT_ENDINGS[each.kind]) for each in notices]


def _template_values(
    wording: Wording, notice: LeasedNotice, settings: EmailSettings, *, for_administrators: bool
) -> dict[str, object]:
    """The template's variables, all of them plain text."""
    console = settings.console_url
    explained = wording.explains_resuming
    return {
        "subject": wording.subject,
        "happened": wording.happened,
        "next": wording.next,
        "to_do": wording.to_do,
        "later_change": later_change(notice),
        "reason": error_text(notice.reason or ""),
        "facts": _facts(notice),
        "attempts": [_attempt_cells(attempt) for attempt in notice.attempts],
        "link": None if console is None else f"{console}/webhooks/{notice.webhook_id}",
        "resume": _resume_commands(notice, shell=for_administrators) if explained else [],
        "replay": _replay_commands(notice, shell=for_administrators) if explained else [],
    }


def _facts(notice: LeasedNotice) -> list[tuple[str, str]]:
    return [
        ("Name", name_text(notice.webhook_name)),
        ("Endpoint", url_text(notice.endpoint_url)),
        ("ID", str(notice.webhook_id)),
        ("Tenant", str(notice.tenant_id)),
        ("Failures", f"{notice.failures} in a row"),
        ("Detected", time_text(notice.created_at)),
    ]


def _attempt_cells(attempt: AttemptSummary) -> dict[str, str]:
    return {
        "at": time_text(attempt.at),
        "status": "no answer" if attempt.status is None else str(attempt.status),
        "took": "" if attempt.took_ms is None else f"{attempt.took_ms} ms",
        "result": error_text(attempt.error or "delivered"),
    }


def _resume_commands(notice: LeasedNotice, *, shell: bool) -> list[tuple[str, str]]:
    """Alternative ways to resume the webhook, each with a label."""
    api = f"POST /api/webhooks/{notice.webhook_id}/resume"
    command = f"webhookd resume {notice.webhook_id}"
    return [("API", api), ("Shell", command)] if shell else [("API", api)]


def _replay_commands(notice: LeasedNotice, *, shell: bool) -> list[tuple[str, str]]:
    """Alternative ways to replay the events since the pause, each with a label."""
    since = f"{notice.created_at:%Y-%m-%dT%H:%M:%SZ}"
    api = f'POST /api/replays {{"webhookId": "{notice.webhook_id}", "from": "{since}"}}'
    command = f"webhookd replay --webhook {notice.webhook_id} --from {since}"
    return [("API", api), ("Shell", command)] if shell else [("API", api)]
