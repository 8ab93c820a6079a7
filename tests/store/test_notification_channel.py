"""How many notifications a channel takes, and for how long it pauses when there are more."""

import pytest

from daemon.store.notification_channel import (
    AFTER_PAUSE,
    BURST,
    LONGEST_PAUSE_SECONDS,
    PAUSE_SECONDS,
    PER_SECOND,
    NotificationChannel,
)


class Clock:
    """A clock that advances by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Counted:
    """A channel that is listened to, and how many notifications were handled."""

    def __init__(self, clock: Clock) -> None:
        self.handled = 0
        self.channel = NotificationChannel(self._handle, clock=clock)
        self.channel.begin()

    def receive(self, count: float, payload: str = "") -> None:
        for _ in range(int(count)):
            self.channel.receive(payload)

    def _handle(self, _payload: str) -> None:
        self.handled += 1


def test_a_burst_is_handled_and_no_more(clock: Clock) -> None:
    counted = Counted(clock)
    counted.receive(BURST)
    was_paused = counted.channel.is_paused
    counted.receive(10)

    assert not was_paused
    assert counted.channel.is_paused
    assert counted.handled == BURST


def test_a_steady_rate_below_the_limit_is_handled_for_ever(clock: Clock) -> None:
    counted = Counted(clock)
    for _ in range(100):
        counted.receive(PER_SECOND / 10)
        clock.at += 0.1

    assert counted.handled == 10 * PER_SECOND


def test_the_notification_that_is_one_too_many_is_reported_once(clock: Clock) -> None:
    channel = Counted(clock).channel
    results = [channel.receive("") for _ in range(int(BURST) + 100)]

    assert results.count(False) == 1


def test_long_payloads_use_the_limit_up_sooner(clock: Clock) -> None:
    counted = Counted(clock)
    counted.receive(BURST / 10, "x" * 7000)

    assert counted.channel.is_paused
    assert counted.handled < BURST / 20


def test_pauses_of_a_flood_that_goes_on_double_up_to_the_longest(clock: Clock) -> None:
    counted = Counted(clock)
    pauses, handled = [], []
    for _ in range(6):
        before = counted.handled
        counted.receive(BURST + 1)
        handled.append(counted.handled - before)
        pauses.append(counted.channel.pause_seconds)
        clock.at += counted.channel.pause_seconds
        counted.channel.begin()

    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert (pauses[0], pauses[-1]) == (PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    assert handled == [BURST] + [AFTER_PAUSE] * 5


def test_after_a_quiet_time_a_burst_is_handled_and_the_next_pause_is_short(clock: Clock) -> None:
    counted = Counted(clock)
    counted.receive(BURST + 1)
    clock.at += PAUSE_SECONDS
    counted.channel.begin()
    clock.at += LONGEST_PAUSE_SECONDS
    counted.receive(BURST + 1)

    assert counted.handled == 2 * BURST
    assert counted.channel.pause_seconds == PAUSE_SECONDS
