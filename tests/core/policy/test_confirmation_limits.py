"""How often the owner of an address is asked to confirm it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.core.policy.confirmation_limits import (
    OF_ALL_PER_HOUR,
    PER_MAILBOX_AND_DAY,
    PER_MAILBOX_AND_DAY_AT_MOST,
    PER_TENANT_AND_HOUR,
    UNANSWERED_PER_TENANT,
    ConfirmationState,
    Decision,
    decide,
)

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
NEW = ConfirmationState(
    is_confirmed=False,
    requested_ago=None,
    requests=0,
    of_tenant_mailbox_today=0,
    unanswered_of_mailbox_today=0,
    of_tenant_this_hour=0,
    unanswered_of_tenant=0,
    unanswered_elsewhere=0,
    of_all_this_hour=0,
)


def test_an_address_that_was_never_asked_is_asked_up_to_the_limits() -> None:
    busy = replace(
        NEW,
        unanswered_of_mailbox_today=PER_MAILBOX_AND_DAY - 1,
        of_tenant_this_hour=PER_TENANT_AND_HOUR - 1,
        unanswered_of_tenant=UNANSWERED_PER_TENANT - 1,
        unanswered_elsewhere=UNANSWERED_PER_TENANT - 1,
        of_all_this_hour=PER_TENANT_AND_HOUR - 1,
    )
    last = replace(NEW, of_all_this_hour=OF_ALL_PER_HOUR - 1)

    assert decide(NEW) is decide(busy) is decide(last) is Decision.REQUEST


def entered_in_an_hour(tenants: int) -> list[int]:
    """How many addresses are asked for each of these tenants, of which each enters a thousand."""
    asked: list[int] = []
    for _ in range(tenants):
        own = 0
        for _ in range(1000):
            state = replace(NEW, of_tenant_this_hour=own, of_all_this_hour=sum(asked) + own)
            own += decide(state) is Decision.REQUEST
        asked.append(own)
    return asked


def test_no_few_tenants_use_up_the_limit_of_all_in_an_hour() -> None:
    asked = entered_in_an_hour(tenants=50)

    assert asked[0] == PER_TENANT_AND_HOUR
    assert all(each > 0 for each in asked[:30])
    assert sum(asked) == OF_ALL_PER_HOUR


def test_a_tenant_at_its_share_is_refused_for_the_limit_of_all() -> None:
    state = replace(NEW, of_tenant_this_hour=3, of_all_this_hour=OF_ALL_PER_HOUR - 20)

    assert decide(state) is Decision.OVERALL_LIMIT
    assert decide(replace(state, of_tenant_this_hour=0)) is Decision.REQUEST


@pytest.mark.parametrize(
    ("state", "decision"),
    [
        (replace(NEW, of_tenant_mailbox_today=1), Decision.MAILBOX_LIMIT),
        (
            replace(NEW, unanswered_of_mailbox_today=PER_MAILBOX_AND_DAY_AT_MOST),
            Decision.MAILBOX_LIMIT,
        ),
        (
            replace(NEW, unanswered_of_mailbox_today=PER_MAILBOX_AND_DAY, unanswered_elsewhere=1),
            Decision.MAILBOX_LIMIT,
        ),
        (replace(NEW, of_tenant_this_hour=PER_TENANT_AND_HOUR), Decision.TENANT_LIMIT),
        (replace(NEW, unanswered_of_tenant=UNANSWERED_PER_TENANT), Decision.UNANSWERED_LIMIT),
        (replace(NEW, of_all_this_hour=OF_ALL_PER_HOUR), Decision.OVERALL_LIMIT),
    ],
)
def test_at_each_limit_nobody_else_is_asked_but_what_is_confirmed_or_asked_stays_good(
    state: ConfirmationState, decision: Decision
) -> None:
    asked = replace(state, requested_ago=MINUTE, requests=1)

    assert decide(state) is decision
    assert decide(replace(state, is_confirmed=True)) is Decision.CONFIRMED
    assert decide(asked) is Decision.WAIT


def test_tenants_that_got_no_answer_keep_no_mailbox_from_being_asked_for_another() -> None:
    asked_thrice = replace(NEW, unanswered_of_mailbox_today=PER_MAILBOX_AND_DAY)

    assert decide(asked_thrice) is Decision.REQUEST
    assert decide(replace(asked_thrice, unanswered_elsewhere=1)) is Decision.MAILBOX_LIMIT


@pytest.mark.parametrize(
    ("requests", "days"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (2**31 - 1, 30)]
)
def test_each_mail_that_is_not_answered_doubles_the_wait(requests: int, days: int) -> None:
    asked = replace(NEW, requests=requests)

    assert decide(replace(asked, requested_ago=days * DAY - MINUTE)) is Decision.WAIT
    assert decide(replace(asked, requested_ago=days * DAY)) is Decision.REQUEST
