"""The sentences of an email: what happened, what happens next, and what to do."""

from dataclasses import dataclass
from typing import assert_never

from daemon.core.model.notices import LeasedNotice, NoticeKind
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.notifications.email.formats import name_text, time_text


@dataclass(frozen=True, slots=True)
class Wording:
    """`subject` is also the first line of the email; the others are paragraphs of sentences."""

    subject: str
    happened: str
    next: str
    to_do: str
    explains_resuming: bool  # and replaying


SUBJECT_ENDINGS = {
    NoticeKind.FAILING: "is failing",
    NoticeKind.HALF_WAY: "is halfway to being paused",
    NoticeKind.NEARLY_PAUSED: "will soon be paused",
    NoticeKind.PAUSED: "was paused",
    NoticeKind.GONE: "was paused: 410 Gone",
    NoticeKind.RECOVERED: "has recovered",
}
AFTER_PAUSE = (
    "Nothing is sent to the webhook until it is resumed. Pending deliveries are sent then. Events"
    " published while the webhook is paused are not delivered automatically, but can be replayed."
)
CHECK_ENDPOINT = (
    "Check that the endpoint is reachable and answers each delivery with a status from 200 to 299."
    " Retries continue without further action."
)
FIX_AND_RESUME = "Fix the endpoint, resume the webhook, then replay the events it missed."
FIX_OR_DELETE = (
    "If the endpoint was retired on purpose, delete the webhook. Otherwise fix the endpoint, resume"
    " the webhook, then replay the events it missed."
)
GONE_HAPPENED = (
    "The endpoint answered 410 Gone, which means that it no longer accepts deliveries. The webhook"
    " was paused immediately."
)
RECOVERED_HAPPENED = (
    "The endpoint has accepted a delivery again. Its count of failures in a row is back at zero."
)
AFTER_RECOVERY = "Deliveries continue. Those that are waiting for a retry are sent when it is due."
NOTHING_TO_DO = "Nothing, unless deliveries were given up meanwhile: retry or replay those."


def wording_of(notice: LeasedNotice, limits: HealthLimits) -> Wording:
    """The wording for the notice's kind, with its numbers filled in."""
    subject = f"{title_of(notice)} {SUBJECT_ENDINGS[notice.kind]}"
    failed = f"{_failed_attempts(notice.failures)}. {_last_success(notice)}."
    match notice.kind:
        case NoticeKind.FAILING | NoticeKind.HALF_WAY | NoticeKind.NEARLY_PAUSED:
            return Wording(subject, failed, _before_pause(notice, limits), CHECK_ENDPOINT, False)
        case NoticeKind.PAUSED:
            happened = f"{failed} The webhook was therefore paused."
            return Wording(subject, happened, AFTER_PAUSE, FIX_AND_RESUME, True)
        case NoticeKind.GONE:
            return Wording(subject, GONE_HAPPENED, AFTER_PAUSE, FIX_OR_DELETE, True)
        case NoticeKind.RECOVERED:
            return Wording(subject, RECOVERED_HAPPENED, AFTER_RECOVERY, NOTHING_TO_DO, False)
        case _:
            assert_never(notice.kind)


def title_of(notice: LeasedNotice) -> str:
    """The webhook by its name, as subjects and lists show it."""
    return f"Webhook “{name_text(notice.webhook_name) or 'without a name'}”"


def later_change(notice: LeasedNotice) -> str | None:
    """A sentence about a change since the notice was written, for an email that is sent late."""
    if notice.kind in {NoticeKind.PAUSED, NoticeKind.GONE}:
        return "The webhook has since been resumed." if notice.is_active else None
    if not notice.is_active:
        return "The webhook has since been paused."
    if notice.kind is NoticeKind.RECOVERED:
        return "Deliveries have since failed again." if notice.consecutive_failures else None
    if notice.consecutive_failures < notice.failures:
        return "The failure count has since been reset."
    return None


def _before_pause(notice: LeasedNotice, limits: HealthLimits) -> str:
    left = max(0, limits.pause_after - notice.failures)
    return (
        "Deliveries continue, and failed attempts are retried. The webhook will be paused after"
        f" {limits.pause_after} failures in a row ({left} more). One success resets the count."
    )


def _failed_attempts(failures: int) -> str:
    if failures == 1:
        return "1 delivery attempt failed"
    return f"{failures} delivery attempts in a row failed"


def _last_success(notice: LeasedNotice) -> str:
    at = notice.last_success_at
    if at is None:
        return "No attempt has ever succeeded"
    return f"The last success was at {time_text(at)}"
