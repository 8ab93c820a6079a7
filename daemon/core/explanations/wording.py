"""Words of explanations: sentences that a customer reads, or hears."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from daemon.core.matching.mismatch import (
    ConditionMismatch,
    Mismatch,
    ShownValue,
    TypeMismatch,
)
from daemon.core.model.explanations import Pause
from daemon.core.model.holds import Hold
from daemon.core.unprintable import escape

PAUSED_BY = {
    "person": "by a person or by the application",
    "failures": "by the daemon, because too many attempts in a row had failed",
    "gone": "by the daemon, because the receiver had answered 410 Gone",
}


def moment(at: datetime | None) -> str:
    """`2025-11-25 14:30:00 UTC`."""
    return "a time that is not stored" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def held_since(hold: Hold) -> str:
    """That everything, or the tenant, is held, and since when."""
    what = "all deliveries" if hold.tenant_id is None else "this tenant's deliveries"
    return f"{what} have been held since {moment(hold.since)}"


def length(time: timedelta) -> str:
    """`30 days`, or `12 hours` where it is less than two days."""
    hours = time // timedelta(hours=1)
    return f"{time.days} days" if time.days > 1 else f"{hours} hour{'' if hours == 1 else 's'}"


def mismatch_sentence(mismatch: Mismatch, event_type: str) -> str:
    """Why a subscription did not match, with what was found and what was wanted."""
    match mismatch:
        case TypeMismatch(member, wanted):
            types = _either(wanted) if wanted else "nothing that can be read"
            name = escape(event_type) or "events without a type"
            return f"The webhook had not subscribed to {name}: its {member} wanted {types}."
        case ConditionMismatch(member, path, found, wanted):
            name = escape(path)
            of_member = "" if member == "filters" else f" ({member})"
            has = f"Its {name} is {_listed(found, 'and')}" if found else f"It has no {name}"
            return f"{has}, and the webhook{of_member} wanted {_either(wanted)}."


def scope_sentence(scope: str) -> str:
    """Why a webhook with a scope other than `events` gets no event of the application."""
    return (
        f"The webhook's scope is {escape(scope)}: it does not get the application's events."
        " How it was set up before its scope was changed is not kept."
    )


def pause_sentence(pause: Pause) -> str:
    """When a webhook was paused, by whom, and until when."""
    by = PAUSED_BY.get(pause.by, escape(pause.by))
    if pause.until is None:
        since = "" if pause.since is None else f" since {moment(pause.since)}"
        return f"The webhook has been paused{since}, {by}."
    since = "" if pause.since is None else f" from {moment(pause.since)}"
    return f"The webhook was paused{since} until {moment(pause.until)}, {by}."


def _either(values: Sequence[ShownValue]) -> str:
    return _listed(values, "or")


def _listed(values: Sequence[ShownValue], last: str) -> str:
    shown = [escape(json.dumps(value, ensure_ascii=False)) for value in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}"
