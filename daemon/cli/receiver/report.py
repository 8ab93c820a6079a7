"""Deliveries as lines for people and as records for programs."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from daemon.cli.receiver.delivery import Delivery, Reply
from daemon.cli.receiver.signature_check import (
    Judgement,
    Word,
    judge_both,
    judge_own,
    judge_standard,
)
from daemon.cli.support.console import printable

COLOURS = {
    Word.VALID: "green",
    Word.INVALID: "bold red",
    Word.NOT_SIGNED: "red",
    Word.NOT_CHECKED: "yellow",
}


def line_of(delivery: Delivery, reply: Reply, verdict: Judgement) -> Text:
    """`14:30:15  valid  email.opened  → 200  evt_…  0192…`, and what there is to add."""
    line = Text(f"{delivery.at.astimezone():%H:%M:%S}  ", style="dim")
    line.append(f"{verdict.word:<11}  ", style=COLOURS[verdict.word])
    line.append(f"{printable(delivery.event_type):<20}  ", style="bold")
    line.append(f"→ {reply.status}", style="" if reply.status < 300 else "red")
    line.append(f"  {printable(delivery.event_id)}  {printable(delivery.delivery_id)}", "dim")
    for remark in (verdict.reason, reply.trouble):
        if remark is not None:
            line.append(f"  {remark}", style="yellow")
    return line


def record_of(
    delivery: Delivery, reply: Reply, secrets: Sequence[str], *, now: float
) -> dict[str, Any]:
    """The delivery for a program; `bodyBase64` is there when the body is not UTF-8."""
    body, headers = delivery.body, delivery.headers
    verdict = judge_both(body, headers, secrets, now=now)
    record = {
        "receivedAt": delivery.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "path": delivery.path,
        "type": delivery.event_type,
        "eventId": delivery.event_id,
        "deliveryId": delivery.delivery_id,
        "signature": verdict.word,
        "reason": verdict.reason,
        "penguinMails": judge_own(body, headers, secrets).word,
        "standardWebhooks": judge_standard(body, headers, secrets, now=now).word,
        "answered": reply.status,
        "trouble": reply.trouble,
        "headers": dict(headers),
    }
    try:
        return {**record, "body": body.decode()}
    except UnicodeDecodeError:
        return {**record, "bodyBase64": base64.b64encode(body).decode()}


def shown_body(body: bytes, *, pretty: bool) -> str:
    """The body as one line, or spread out for a person; one that is not JSON as it came."""
    text = body.decode(errors="backslashreplace")
    if pretty:
        try:
            spread = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return printable(text)
        return "\n".join(f"    {printable(line)}" for line in spread.splitlines())
    return printable(text)
