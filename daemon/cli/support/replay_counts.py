"""The counts of a replay before it is sent, as `webhookd replay` prints them."""

from daemon.core.model.replays import CountedReplay


def as_text(counted: CountedReplay) -> str:
    """One line for a person; the events were compared with earlier deliveries."""
    from daemon.replay.reasons import reason_for_nothing

    assert counted.earlier is not None
    delivered, unknown = counted.earlier.delivered, counted.earlier.unknown
    reason = reason_for_nothing(counted)
    if reason is not None:
        return f"0 events: {reason}"
    parts = [f"{counted.total:,} events"]
    if counted.scope.only_undelivered:
        parts += [f"{delivered:,} others were delivered before"] if delivered else []
        parts += [f"{unknown:,} others are too old to tell"] if unknown else []
    else:
        parts += [f"{delivered:,} of them were delivered before"] if delivered else []
        parts += [f"{unknown:,} of them are too old to tell"] if unknown else []
    if counted.changed:
        parts.append(f"{counted.changed:,} with data that may differ from what was sent first")
    return "; ".join(parts)


def as_json(counted: CountedReplay) -> str:
    """The same as the API returns it."""
    from daemon.admin.views.replays import count_response

    return count_response(counted).model_dump_json(by_alias=True)
