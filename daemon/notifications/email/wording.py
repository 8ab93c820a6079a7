"""What a notice says, in words."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from urllib.parse import quote

from daemon.core.model.notices import DueNotice, NoticeKind
from daemon.core.outcomes.health import HealthLimits
from daemon.logs import one_line

_BEHIND_PATH = re.compile(r"[?#]")
_NOT_OF_A_URL = re.compile(r"""[\s"'<>\\]""")
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Words:
    """`subject` is of the header, and begins the letter; the others are paragraphs of sentences."""

    subject: str
    happened: str
    next: str
    resume: bool  # whether to say how it is resumed


STEPS = {
    NoticeKind.FAILING: "is failing",
    NoticeKind.HALF_WAY: "is half way to being paused",
    NoticeKind.NEARLY_PAUSED: "will soon be paused",
    NoticeKind.PAUSED: "was paused",
    NoticeKind.GONE: "answered 410 Gone and was paused",
}
RESTS = (
    "Nothing is sent to it until somebody resumes it. Attempts that wait are made then; events that"
    " come before that are not delivered by themselves, and can be replayed: see below."
)


def words_of(notice: DueNotice, limits: HealthLimits) -> Words:
    """What happened, and what happens next."""
    name = one_line(notice.webhook_name, longest=LONGEST_NAME) or "without a name"
    subject = f"Webhook “{name}” {STEPS[notice.kind]}"
    failed = f"{_counted(notice.failures)} in a row failed; {_last_success(notice)}."
    match notice.kind:
        case NoticeKind.FAILING | NoticeKind.HALF_WAY | NoticeKind.NEARLY_PAUSED:
            return Words(subject, failed, _goes_on(notice, limits), False)
        case NoticeKind.PAUSED:
            return Words(subject, f"{failed} So the webhook was paused.", RESTS, True)
        case NoticeKind.GONE:
            told = (
                "Its endpoint answered 410 Gone, which asks never to be called again."
                " So the webhook was paused at once."
            )
            return Words(subject, told, RESTS, True)
        case _:
            assert_never(notice.kind)


def _goes_on(notice: DueNotice, limits: HealthLimits) -> str:
    left = max(0, limits.pause_after - notice.failures)
    return (
        "Its deliveries go on, and what failed is tried again."
        f" At {limits.pause_after} failures in a row, {left} more than now, it is paused;"
        " one success starts the count anew."
    )


def _counted(failures: int) -> str:
    return "1 attempt" if failures == 1 else f"{failures} attempts"


def _last_success(notice: DueNotice) -> str:
    at = notice.last_success_at
    if at is None:
        return "none has ever succeeded"
    return f"the last success was at {moment(at)}"


def meanwhile(notice: DueNotice) -> str | None:
    """What is otherwise by now, for a letter that comes late."""
    was_paused = notice.kind in {NoticeKind.PAUSED, NoticeKind.GONE}
    if was_paused:
        return "It has been resumed in the meantime." if notice.is_active else None
    if not notice.is_active:
        return "It has been paused in the meantime."
    if notice.consecutive_failures < notice.failures:
        return "The count of its failures has begun anew in the meantime."
    return None


def moment(at: datetime) -> str:
    """`2025-11-25 14:30:00 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def place(url: str) -> str:
    """A customer's URL up to its path, and without a user; what no URL may hold is encoded."""
    up_to_path = _BEHIND_PATH.split(url, maxsplit=1)[0]
    return one_line(_NOT_OF_A_URL.sub(lambda found: quote(found[0]), up_to_path))
