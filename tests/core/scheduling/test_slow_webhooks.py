"""Slow webhooks are passed for a while, then looked at again, and more rarely each time."""

from uuid import UUID

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.slow_webhooks import (
    FIRST_SECONDS,
    MOST_SECONDS,
    MOST_WEBHOOKS,
    SlowWebhooks,
)

FIRST, SECOND = (WebhookId(UUID(int=number)) for number in (1, 2))


def passed_seconds(slow: SlowWebhooks, *, now: float) -> float:
    slow.note(FIRST, now=now)
    seconds = FIRST_SECONDS
    while not slow.is_to_be_passed(FIRST, now=now + seconds) or slow.is_to_be_passed(
        FIRST, now=now + seconds + 1
    ):
        seconds += 1
    return seconds


def test_one_that_is_slow_again_is_passed_for_longer_and_is_looked_at_again_in_the_end() -> None:
    slow = SlowWebhooks()
    seconds = [passed_seconds(slow, now=1000.0 * number) for number in range(7)]

    assert seconds == [10, 20, 40, 80, 160, 300, 300]
    assert MOST_SECONDS == 300


def test_one_that_is_forgotten_is_passed_no_more_and_then_briefly_at_first() -> None:
    slow = SlowWebhooks()
    slow.note(FIRST, now=0.0)
    slow.note(FIRST, now=0.0)
    slow.forget(FIRST)
    slow.forget(SECOND)

    assert not slow.is_to_be_passed(FIRST, now=0.0)
    assert slow.first_after(UUID(int=0)) is None
    assert passed_seconds(slow, now=0.0) == FIRST_SECONDS


def test_they_are_found_in_the_order_of_their_ids_and_their_number_is_bounded() -> None:
    slow = SlowWebhooks()
    for number in range(MOST_WEBHOOKS + 1, 0, -1):
        slow.note(WebhookId(UUID(int=number)), now=0.0)

    assert slow.first_after(UUID(int=0)) == FIRST
    assert slow.first_after(FIRST) == SECOND
    assert slow.first_after(UUID(int=MOST_WEBHOOKS)) is None  # the first one that was noted
