"""Replays in responses."""

from daemon.admin import schemas
from daemon.core.model.replays import Replay


def replay_response(replay: Replay) -> schemas.Replay:
    """Show a replay and its progress."""
    return schemas.Replay(
        id=replay.id,
        webhook_id=replay.webhook_id,
        source=replay.source.value,
        from_=replay.from_time,
        to=replay.to_time,
        event_types=None if replay.event_types is None else list(replay.event_types),
        status=replay.status.value,
        begun=replay.begun,
        paused=replay.paused,
        total=replay.total,
        sent=replay.sent,
        created_at=replay.created_at,
        finished_at=replay.finished_at,
    )
