"""A replay and how far it is."""

from daemon.admin import schemas
from daemon.core.model.replays import Replay


def replay(found: Replay) -> schemas.Replay:
    return schemas.Replay(
        id=found.id,
        webhook_id=found.webhook_id,
        source=found.source.value,
        from_=found.from_time,
        to=found.to_time,
        event_types=None if found.event_types is None else list(found.event_types),
        status=found.status.value,
        begun=found.begun,
        paused=found.paused,
        total=found.total,
        sent=found.sent,
        created_at=found.created_at,
        finished_at=found.finished_at,
    )
