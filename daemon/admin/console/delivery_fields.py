"""
The fields of a form that say how a webhook's requests are made, and the members they stand for.

The rule: secret values are written, and never shown. Each that is set is kept, replaced or removed.
"""

from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from math import isfinite
from typing import Any

from daemon.admin.api.problems import FieldError, Problem

HEADER_FIELD = "header."
MOST_NEW_HEADERS = 20
KEEP, REPLACE, REMOVE = "keep", "replace", "remove"

Form = Mapping[str, str]


def headers(form: Form) -> dict[str, str | None]:
    """
    The headers to change: those that were set and are replaced or removed, and new ones.

    Raises Problem (422) for a value without a name.
    """
    changed: dict[str, str | None] = {}
    for name, choice, value in header_rows(form):
        if not name and value:
            sentence = "a header needs a name"
            raise Problem(422, sentence, field_errors=[FieldError("#/customHeaders", sentence)])
        if name and choice != KEEP:
            changed[name] = None if choice == REMOVE else value
    return changed


def header_rows(form: Form) -> list[tuple[str, str, str]]:
    """The name, the choice and the value of each header that the form has."""
    found: list[tuple[str, str, str]] = []
    for place in count():
        name = form.get(f"{HEADER_FIELD}{place}.name")
        if name is None:
            return found
        choice = form.get(f"{HEADER_FIELD}{place}.choice", "")
        found.append((name.strip(), choice, form.get(f"{HEADER_FIELD}{place}.value", "")))
    raise AssertionError


def certificate(form: Form) -> dict[str, object]:
    """The member of the client certificate if it changes."""
    given = {name: form.get(name, "").strip() for name in ("certificate", "key")}
    if form.get("certificateChoice") == REMOVE:
        return {"clientCertificate": None}
    if any(given.values()):
        return {"clientCertificate": {name: f"{text}\n" for name, text in given.items()}}
    return {}


def options(form: Form) -> dict[str, object]:
    """The members that say how deliveries are made. Raises Problem (422) for what is no number."""
    return {
        "timeout": form.get("timeout") or None,
        "maxPerSecond": _number(form, "maxPerSecond", float),
        "maxInFlight": _number(form, "maxInFlight", int),
        "retrySchedule": form.get("retrySchedule") or None,
        "clientErrorsFinal": form.get("clientErrorsFinal") == "on",
    }


def fields_of(webhook: Any) -> dict[str, str]:
    """The fields of a stored webhook."""
    fields = {
        "timeout": webhook.timeout or "",
        "maxPerSecond": _text(webhook.max_per_second),
        "maxInFlight": _text(webhook.max_in_flight),
        "retrySchedule": webhook.retry_schedule or "",
    }
    if webhook.client_errors_final:
        fields["clientErrorsFinal"] = "on"
    for place, name in enumerate(webhook.custom_headers or {}):
        fields |= {
            f"{HEADER_FIELD}{place}.name": name,
            f"{HEADER_FIELD}{place}.choice": KEEP,
        }
    return fields


def _number(form: Form, name: str, kind: type[int] | type[float]) -> float | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    with suppress(ValueError):
        number = kind(text)
        if kind is int or isfinite(number):
            return number
    wanted = "must be a whole number" if kind is int else "must be a number"
    raise Problem(422, wanted, field_errors=[FieldError(f"#/{name}", wanted)])


def _text(number: float | None) -> str:
    return "" if number is None else f"{number:g}"
