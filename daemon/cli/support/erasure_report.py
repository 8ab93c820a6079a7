"""What `webhookd forget` shows: counts of rows as text or JSON, and its progress."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from daemon.cli.support.console import stderr_console
from daemon.core.model.erasure import ErasureCounts, ErasureTarget

if TYPE_CHECKING:
    from daemon.maintenance.erasure_progress import Progress


def counts_as_text(counts: ErasureCounts, *, dry_run: bool) -> str:
    """One line: what was erased, or would be."""
    if not counts:
        return "nothing is stored about it"
    return f"{'would be erased' if dry_run else 'erased'}: {listed(counts)}"


def counts_as_json(target: ErasureTarget, counts: ErasureCounts, *, dry_run: bool) -> str:
    """The same as a JSON object, with every count."""
    return json.dumps({"tenantId": str(target.tenant_id), "dryRun": dry_run, **asdict(counts)})


def listed(counts: ErasureCounts) -> str:
    """List the counts, such as `1 event (1 not yet fanned out), 2 deliveries`, without zeros."""
    kinds = (
        (counts.events, "event", "events", counts.waiting, "not yet fanned out"),
        (counts.deliveries, "delivery", "deliveries", counts.pending, "pending"),
        (counts.replays, "replay", "replays", 0, ""),
        (counts.notices, "notice", "notices", 0, ""),
        (counts.webhooks, "webhook", "webhooks", 0, ""),
        (counts.confirmations, "confirmed address", "confirmed addresses", 0, ""),
        (counts.tokens, "token", "tokens", 0, ""),
        (counts.links, "portal link", "portal links", 0, ""),
        (counts.audit, "audit record", "audit records", 0, ""),
        (counts.answers, "kept answer", "kept answers", 0, ""),
        (counts.versions, "former webhook setting", "former webhook settings", 0, ""),
    )
    parts = [
        f"{count:,} {one if count == 1 else many}" + (f" ({some:,} {state})" if some else "")
        for count, one, many, some, state in kinds
        if count
    ]
    return ", ".join(parts) or "nothing yet"


@contextmanager
def progress_display() -> "Iterator[Callable[[Progress], None]]":
    """Yield a callback that shows progress on stderr, if stderr is a terminal."""
    console = stderr_console()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("searching") as status:
        yield lambda progress: status.update(
            f"{progress.rows_read:,} rows examined: {listed(progress.counts)}"
        )
