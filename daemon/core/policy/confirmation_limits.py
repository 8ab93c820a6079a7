"""
How often an address may be asked for its owner's confirmation.

An address without confirmation may be a third party's: neither one tenant nor many may flood it.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

FIRST_WAIT = timedelta(days=1)
LONGEST_WAIT = timedelta(days=30)
# Without an answer, for all tenants: two may have the same owner.
PER_MAILBOX_AND_DAY = 3
# With those of tenants that wait for no other answer: the others must not keep a mailbox from
# being asked, and a tenant that takes part in that waits for an answer from then on.
PER_MAILBOX_AND_DAY_AT_MOST = 10
PER_TENANT_AND_HOUR = 10
# Without an answer within thirty days: any number of addresses may lead to one person.
UNANSWERED_PER_TENANT = 50
OF_ALL_PER_HOUR = 100
SHARES = 10  # the more others have requested, the fewer a tenant may


class Decision(Enum):
    """What follows when the API is given an address."""

    CONFIRMED = auto()
    WAIT = auto()  # a mail was requested before, and may still be answered
    REQUEST = auto()
    MAILBOX_LIMIT = auto()
    TENANT_LIMIT = auto()
    UNANSWERED_LIMIT = auto()
    OVERALL_LIMIT = auto()


@dataclass(frozen=True, slots=True)
class ConfirmationState:
    """
    One tenant's address, and the requests before; of a mailbox, which may have several addresses.

    `requested_ago` is None if the tenant never requested a mail to this very address. Unanswered
    are those of thirty days; `unanswered_elsewhere` does not count this address.
    """

    is_confirmed: bool
    requested_ago: timedelta | None
    requests: int
    of_tenant_mailbox_today: int
    unanswered_of_mailbox_today: int
    of_tenant_this_hour: int
    unanswered_of_tenant: int
    unanswered_elsewhere: int
    of_all_this_hour: int


def decide(state: ConfirmationState) -> Decision:
    """Each mail that is not answered doubles the wait until the next one."""
    if state.is_confirmed:
        return Decision.CONFIRMED
    if state.requested_ago is not None and state.requested_ago < _wait_after(state.requests):
        return Decision.WAIT
    if state.of_tenant_mailbox_today or state.unanswered_of_mailbox_today >= _per_mailbox(state):
        return Decision.MAILBOX_LIMIT
    if state.of_tenant_this_hour >= PER_TENANT_AND_HOUR:
        return Decision.TENANT_LIMIT
    if state.unanswered_of_tenant >= UNANSWERED_PER_TENANT:
        return Decision.UNANSWERED_LIMIT
    if state.of_all_this_hour >= OF_ALL_PER_HOUR or state.of_tenant_this_hour >= _share(state):
        return Decision.OVERALL_LIMIT
    return Decision.REQUEST


def _per_mailbox(state: ConfirmationState) -> int:
    return PER_MAILBOX_AND_DAY if state.unanswered_elsewhere else PER_MAILBOX_AND_DAY_AT_MOST


def _share(state: ConfirmationState) -> int:
    """How many a tenant may request in the hour: a tenth of what all others have left, or one."""
    of_others = state.of_all_this_hour - state.of_tenant_this_hour
    return max(1, (OF_ALL_PER_HOUR - of_others) // SHARES)


def _wait_after(requests: int) -> timedelta:
    doublings = max(0, min(requests - 1, 10))
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << doublings))
