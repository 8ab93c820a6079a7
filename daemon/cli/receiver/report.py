"""Deliveries as lines for people and as records for programs."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from daemon.cli.receiver.delivery import Delivery, Reply
from daemon.cli.receiver.signature_check import (
    SignatureCheck,
    SignatureStatus,
    check_penguinmails,
    check_signatures,
    check_standard_webhooks,
)
from daemon.core.unprintable import escape
from daemon.core.wire.timestamps import rfc3339

SIGNATURE_STYLES = {
    SignatureStatus.VALID: "green",
    SignatureStatus.INVALID: "bold red",
    SignatureStatus.NOT_SIGNED: "red",
    SignatureStatus.NOT_CHECKED: "yellow",
}


def delivery_line(delivery: Delivery, reply: Reply, check: SignatureCheck) -> Text:
    """`14:30:15  valid  email.opened  → 200  evt_…  0192…`, followed by what went wrong."""
    line = Text(f"{delivery.received_at.astimezone():%H:%M:%S}  ", style="dim")
    line.append(f"{check.status:<11}  ", style=SIGNATURE_STYLES[check.status])
    line.append(f"{escape(delivery.event_type):<20}  ", style="bold")
    line.append(f"→ {reply.status}", style="" if reply.status < 300 else "red")
    line.append(f"  {escape(delivery.event_id)}  {escape(delivery.delivery_id)}", "dim")
    for remark in (check.reason, reply.trouble):
        if remark is not None:
            line.append(f"  {remark}", style="yellow")
    return line


def delivery_record(
    delivery: Delivery, reply: Reply, secrets: Sequence[str], *, now: float
) -> dict[str, Any]:
    """
    Return the delivery as a JSON object; `now` is in Unix seconds.

    A body that is not UTF-8 is in `bodyBase64` instead of `body`.
    """
    body, headers = delivery.body, delivery.headers
    check = check_signatures(body, headers, secrets, now=now)
    record = {
        "receivedAt": rfc3339(delivery.received_at),
        "path": delivery.path,
        "type": delivery.event_type,
        "eventId": delivery.event_id,
        "deliveryId": delivery.delivery_id,
        "signature": check.status,
        "reason": check.reason,
        "penguinMails": check_penguinmails(body, headers, secrets).status,
        "standardWebhooks": check_standard_webhooks(body, headers, secrets, now=now).status,
        "answered": reply.status,
        "trouble": reply.trouble,
        "headers": dict(headers),
    }
    try:
        return {**record, "body": body.decode()}
    except UnicodeDecodeError:
        return {**record, "bodyBase64": base64.b64encode(body).decode()}


def printable_body(body: bytes, *, pretty: bool) -> str:
    """Return the body as one line or, if it is JSON and `pretty`, as indented lines."""
    text = body.decode(errors="backslashreplace")
    if pretty:
        try:
            indented = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return escape(text)
        return "\n".join(f"    {escape(line)}" for line in indented.splitlines())
    return escape(text)
