"""
Crowds that hang beside a healthy tenant, in simulated time: 500 slots, and timeouts of 5 s.

The waits are simulated, so the bounds are exact and hold on any machine.
"""

import pytest

from tests.core.scheduling.driven_lanes import tenant
from tests.core.scheduling.simulated_dispatcher import (
    Simulation,
    Webhook,
    down_from,
    hanging,
    quick,
    slow,
)

HEALTHY, CROWD, FRESH = 1, 1000, 2000
BAD_HOST, GOOD_HOST = "192.0.2.1", "192.0.2.2"


def healthy_webhook(simulation: Simulation, *, host: str = GOOD_HOST) -> Webhook:
    """One that has an event every 50 ms from the beginning, and answers at once."""
    healthy = simulation.webhook(HEALTHY, quick, host=host)
    simulation.events(healthy, every=0.05, until=9.0)
    return healthy


@pytest.mark.parametrize(
    ("webhooks", "tenants"), [(300, 1), (600, 1), (5000, 1), (600, 50), (600, 150)]
)
def test_fresh_webhooks_that_hang_delay_no_other_tenant(webhooks: int, tenants: int) -> None:
    simulation = Simulation()
    healthy = healthy_webhook(simulation)
    for n in range(webhooks):
        bad = simulation.webhook(CROWD + n % tenants, hanging)
        for _ in range(2):  # as many as the first window of a lane lets through at once
            simulation.events(bad, begin=1.0, every=5.0, until=6.0)
    fresh = [simulation.webhook(FRESH + n, quick) for n in range(20)]
    for n, webhook in enumerate(fresh):
        simulation.events(webhook, begin=1.1 + n / 4, every=1.0)

    simulation.run(10.0)

    assert healthy.p95_ms() == 0.0
    assert max(healthy.waits) == 0.0
    assert [webhook.waits for webhook in fresh] == [[0.0]] * 20


@pytest.mark.full
@pytest.mark.parametrize("proven", [False, True])
def test_fifty_webhooks_that_hang_for_the_longest_timeout_delay_no_other_tenant(
    proven: bool,
) -> None:
    """They have a timeout of 30 s each, and much to send; some were quick before."""
    simulation = Simulation(timeout=30.0)
    healthy = simulation.webhook(HEALTHY, quick, host=GOOD_HOST)
    simulation.events(healthy, every=0.05, until=65.0)
    for n in range(50):
        bad = simulation.webhook(CROWD, down_from(5.0 if proven else 0.0), host=f"192.0.4.{n}")
        simulation.events(bad, begin=1.0 + n / 1000, every=0.05, until=65.0)
    fresh = [simulation.webhook(FRESH + n, quick) for n in range(20)]
    for n, webhook in enumerate(fresh):
        simulation.events(webhook, begin=1.1 + 3 * n, every=1.0)

    simulation.run(66.0)

    assert max(healthy.waits) == 0.0
    assert [webhook.waits for webhook in fresh] == [[0.0]] * 20
    # While they answer, all but the last quarter; what was in flight then is all that hangs.
    assert simulation.most_in_flight[tenant(CROWD)] <= 344


def test_a_thousand_tenants_that_hang_delay_no_webhook_that_answers_quickly() -> None:
    simulation = Simulation()
    healthy = healthy_webhook(simulation)
    for n in range(1000):
        simulation.events(simulation.webhook(CROWD + n, hanging), begin=1.0, every=1.0, until=6.0)

    simulation.run(10.0)

    assert max(healthy.waits) == 0.0


@pytest.mark.parametrize(("tenants", "fresh"), [(1, 0), (10, 0), (30, 0), (10, 300)])
def test_tenants_whose_quick_webhooks_hang_together_delay_no_other_tenant(
    tenants: int, fresh: int
) -> None:
    """One tenant after the other; then webhooks of other tenants that have never answered."""
    simulation = Simulation(timeout=30.0)
    answers_in_100_ms = [simulation.webhook(HEALTHY, lambda _: 0.1, host=GOOD_HOST) for _ in "ab"]
    for webhook in answers_in_100_ms:
        simulation.events(webhook, every=0.15, until=6.0)
    for n in range(8 * tenants):
        quick_once = simulation.webhook(CROWD + n // 8, down_from(2.0), host=f"192.0.4.{n % 60}")
        simulation.events(quick_once, begin=0.5 + n / 1000, every=0.15, until=1.9)
        for _ in range(8):
            simulation.events(quick_once, begin=2.0 + n // 8 / 100, every=1.0)
    for n in range(fresh):
        bad = simulation.webhook(FRESH + n // 4, hanging, host=f"192.0.5.{n % 60}")
        simulation.events(bad, begin=4.0 + n / 1000, every=1.0)

    simulation.run(7.0)

    assert [max(webhook.waits[5:]) for webhook in answers_in_100_ms] == [0.0, 0.0]


@pytest.mark.parametrize("tenants", [1, 600])
def test_a_host_that_goes_down_with_600_good_webhooks_delays_no_other(tenants: int) -> None:
    simulation = Simulation()
    healthy = healthy_webhook(simulation)
    for n in range(600):
        down = simulation.webhook(CROWD + n % tenants, down_from(3.0), host=BAD_HOST)
        simulation.events(down, begin=n / 1000, every=0.5, until=9.0)
    fresh = [simulation.webhook(FRESH + n, quick, host=f"192.0.3.{n}") for n in range(20)]
    for n, webhook in enumerate(fresh):
        simulation.events(webhook, begin=3.1 + n / 4, every=1.0)

    simulation.run(10.0)

    assert healthy.p95_ms() == 0.0
    assert max(healthy.waits) == 0.0
    assert [webhook.waits for webhook in fresh] == [[0.0]] * 20


@pytest.mark.parametrize("tenants", [1, 8, 50])
def test_bad_neighbours_at_a_load_balancer_delay_no_other_tenant(tenants: int) -> None:
    simulation = Simulation()
    fresh = [simulation.webhook(FRESH + n, quick, host=BAD_HOST) for n in range(20)]
    for n, webhook in enumerate(fresh):
        simulation.events(webhook, begin=3.1 + n / 4, every=0.05, until=9.0)
    healthy = healthy_webhook(simulation, host=BAD_HOST)
    for n in range(800):
        bad = simulation.webhook(CROWD + n % tenants, hanging, host=BAD_HOST)
        simulation.events(bad, begin=1.0 + n / 1000, every=2.0, until=9.0)

    simulation.run(10.0)

    assert healthy.p95_ms() == 0.0
    assert max(healthy.waits) == 0.0
    assert {max(webhook.waits) for webhook in fresh} == {0.0}


def test_a_rare_event_of_a_proven_webhook_passes_a_host_that_is_silent() -> None:
    simulation = Simulation()
    healthy = simulation.webhook(HEALTHY, quick, host=BAD_HOST)
    simulation.events(healthy, every=4.0, until=9.0)
    for n in range(300):
        bad = simulation.webhook(CROWD + n % 3, down_from(1.0), host=BAD_HOST)
        simulation.events(bad, every=0.5, until=9.0)

    simulation.run(10.0)

    assert healthy.waits == [0.0] * 3


def test_a_host_that_falls_silent_holds_a_third_of_all_slots_at_most() -> None:
    simulation = Simulation()
    for n in range(600):
        down = simulation.webhook(CROWD, down_from(3.0), host=BAD_HOST)
        simulation.events(down, begin=n / 300, every=2.0, until=7.9)

    simulation.run(7.9)

    assert 150 <= simulation.most_in_flight[tenant(CROWD)] <= 170


@pytest.mark.full
def test_a_host_that_answers_again_has_its_full_share_again() -> None:
    simulation = Simulation()
    for n in range(600):
        webhook = simulation.webhook(
            CROWD, lambda now: None if 3.0 <= now < 4.0 else 0.5, host=BAD_HOST
        )
        simulation.events(webhook, begin=n / 1000, every=1.0, until=20.0)
    simulation.run(10.0)
    simulation.most_in_flight.clear()
    simulation.run(20.0)

    assert max(simulation.most_in_flight.values()) >= 330


def test_a_host_with_600_quick_webhooks_holds_two_thirds_of_all_slots() -> None:
    simulation = Simulation()
    for _ in range(600):
        webhook = simulation.webhook(CROWD, lambda _: 0.9, host=GOOD_HOST)
        simulation.events(webhook, every=0.5, until=9.0)

    simulation.run(10.0)

    assert max(simulation.most_in_flight.values()) >= 330


def test_a_tenant_with_many_quick_hosts_holds_all_but_the_last_quarter_and_the_reserve() -> None:
    simulation = Simulation()
    for n in range(600):
        webhook = simulation.webhook(CROWD, lambda _: 0.9, host=f"192.0.2.{n}")
        simulation.events(webhook, every=0.5, until=9.0)

    simulation.run(10.0)

    assert max(simulation.most_in_flight.values()) == 500 - 125 - 31


def test_slow_webhooks_of_one_tenant_hold_half_of_all_slots_minus_the_reserve() -> None:
    simulation = Simulation()
    for n in range(600):
        webhook = simulation.webhook(CROWD, slow, host=f"192.0.2.{n}")
        simulation.events(webhook, every=1.0, until=9.0)

    simulation.run(10.0)

    assert 220 <= max(simulation.most_in_flight.values()) <= 250


def test_slow_webhooks_of_many_tenants_share_three_quarters_of_all_slots() -> None:
    simulation = Simulation()
    for n in range(600):
        webhook = simulation.webhook(CROWD + n % 20, slow, host=f"192.0.2.{n}")
        simulation.events(webhook, every=1.0, until=9.0)

    simulation.run(10.0)

    held = simulation.most_in_flight.values()
    assert max(held) - min(held) <= 3
    assert 340 <= sum(held) <= 400
