"""
The request body of an event: the same bytes on every attempt, to every endpoint.

Contract, section 1: members `id`, `type`, `created_at`, `data` in this order, and no white space.
"""

from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import orjson

from daemon.core.wire.event_ids import public_event_id
from daemon.core.wire.javascript_json import print_at_once, prints_quickly, to_javascript_json
from daemon.core.wire.json_value import containers_in
from daemon.core.wire.postgres_json import print_in_pieces
from daemon.core.wire.timestamps import rfc3339

KEPT_CHARACTERS = 64 * 1024  # of data; the bodies that were made last are kept
PARSED_CONTAINERS = 50_000  # in large data; those with more are printed without a tree
AT_ONCE_CHARACTERS = 1024 * 1024
QUICK_CHARACTERS = 8 * 1024  # of data, which are printed within milliseconds at worst


def event_body(
    event_id: UUID,
    event_type: str,
    created_at: datetime,
    data: str | None,
    *,
    public_id: str | None = None,
) -> bytes:
    """
    Return the body of one event as UTF-8 JSON.

    `data` is JSON text as PostgreSQL prints it; None (SQL's NULL) is sent as null. `created_at`
    must be aware. `public_id` replaces `evt_<hex>`, for test events.

    Raises ValueError when `created_at` is naive, or `data` is not JSON: large data are taken to be.
    """
    kept = len(data or "") <= KEPT_CHARACTERS
    make = _kept_body if kept else _make_body
    return make(event_id, event_type, created_at, data, public_id)


def is_made_quickly(data: str | None) -> bool:
    """Whether the body of an event with this data is made within a few milliseconds."""
    if data is None or len(data) <= QUICK_CHARACTERS:
        return True
    return len(data) <= KEPT_CHARACTERS and _kept_verdict(data)


def is_printed_at_once(data: str) -> bool:
    """Whether large data are printed within hundredths of a second, as it takes to find out."""
    return (
        len(data) <= AT_ONCE_CHARACTERS
        and containers_in(data) <= PARSED_CONTAINERS
        and prints_quickly(data)
    )


# An event for several webhooks is judged once.
_kept_verdict = lru_cache(64)(prints_quickly)


def _make_body(
    event_id: UUID, event_type: str, created_at: datetime, data: str | None, public_id: str | None
) -> bytes:
    # Where no digit is left out, orjson prints a time as `rfc3339` does, in a third of the time.
    quick = created_at.tzinfo is UTC and created_at.microsecond % 10
    head = {
        "id": public_id or public_event_id(event_id),
        "type": event_type,
        "created_at": created_at if quick else rfc3339(created_at),
    }
    return orjson.dumps(head, option=orjson.OPT_UTC_Z)[:-1] + b',"data":' + _printed(data) + b"}"


def _printed(data: str | None) -> bytes:
    if data is None:
        return b"null"
    if len(data) <= KEPT_CHARACTERS:
        return to_javascript_json(data)
    return _print_large(data) or to_javascript_json(data)


def _print_large(data: str) -> bytes | None:
    """None where it is not spelt as PostgreSQL spells it."""
    if containers_in(data) <= PARSED_CONTAINERS:
        with suppress(ValueError, TypeError):
            if printed := print_at_once(data):
                return printed
    return print_in_pieces(data)


# An event for several webhooks has one body.
_kept_body = lru_cache(64)(_make_body)
