"""Replays in responses."""

from daemon.admin import schemas
from daemon.core.model.replays import CountedReplay, Replay
from daemon.core.unprintable import escape
from daemon.replay.reasons import reason_for_nothing


def count_response(counted: CountedReplay) -> schemas.ReplayCount:
    """Show what a replay would send; its events were compared with earlier deliveries."""
    assert counted.earlier is not None
    return schemas.ReplayCount(
        total=counted.total,
        delivered_before=counted.earlier.delivered,
        unknown=counted.earlier.unknown,
        changed=counted.changed,
        reason=reason_for_nothing(counted),
    )


def replay_response(replay: Replay) -> schemas.Replay:
    """Show a replay and its progress."""
    return schemas.Replay(
        id=replay.id,
        webhook_id=replay.webhook_id,
        # The application may write characters that the API refuses.
        webhook_name=escape(replay.webhook_name),
        source=replay.source.value,
        from_=replay.from_time,
        to=replay.to_time,
        event_types=None if replay.event_types is None else list(replay.event_types),
        only_undelivered=replay.only_undelivered,
        of_replay_id=replay.of_replay,
        status=replay.status.value,
        begun=replay.begun,
        paused=replay.paused,
        total=replay.total,
        sent=replay.sent,
        delivered=replay.delivered,
        failed=replay.failed,
        waiting=replay.waiting,
        changed=replay.changed,
        reason=replay.reason,
        created_at=replay.created_at,
        finished_at=replay.finished_at,
    )
