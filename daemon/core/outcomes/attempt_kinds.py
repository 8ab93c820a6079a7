"""
The kinds of outcomes that stats count attempts by.

The rule: a kind's position in KINDS is stored in the database, so new ones are only added at the
end.
"""

from daemon.core.model.attempts import AttemptResult, FailureKind, Response

DELIVERED = "delivered"
OTHER_STATUS = "other"
KINDS = (
    *(DELIVERED, "3xx", "4xx", "5xx", OTHER_STATUS),
    *(FailureKind.REFUSED_TARGET.value, FailureKind.UNUSABLE.value, FailureKind.LOOKUP.value),
    *(FailureKind.CONNECT.value, FailureKind.TLS.value, FailureKind.TIMEOUT.value),
    *(FailureKind.DISCONNECTED.value, FailureKind.PROTOCOL.value),
)
ERROR_KINDS = KINDS[1:]
_POSITIONS = {kind: position for position, kind in enumerate(KINDS)}


def kind_position(result: AttemptResult) -> int | None:
    """
    Return the position in KINDS of an attempt's outcome.

    None if it is not counted: a body that was too large to be sent says nothing about the endpoint.
    """
    verdict, outcome = result.verdict, result.outcome.result
    if verdict.delivered:
        return 0
    if verdict.too_large:
        return None
    if isinstance(outcome, Response):
        status_class = f"{outcome.status // 100}xx"
        return _POSITIONS.get(status_class, _POSITIONS[OTHER_STATUS])
    return _POSITIONS[outcome.kind.value]
