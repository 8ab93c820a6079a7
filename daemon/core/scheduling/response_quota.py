"""
How much of long responses is stored for one tenant in an hour.

Rule: receivers decide how long their responses are, and customers how many retries and replays they
ask for. Short responses are always stored as they are, and long ones until a tenant has had its
share, so that no tenant fills the disk with them.
"""

from collections import OrderedDict
from dataclasses import replace

from daemon.core.model.attempts import AttemptResult, Response, header_characters
from daemon.core.model.ids import TenantId

BYTES_PER_HOUR = 64 * 1024 * 1024  # about 2,000 of the longest
# Characters of a body, and of the names and values of headers; of a longer one, so many remain.
SHORT = 1024
MOST_TENANTS = 10_000  # the one whose long response is the longest ago is forgotten
HOUR = 3600.0


class ResponseQuota:
    """Counts the long responses of each tenant; what was counted fades within an hour."""

    def __init__(self) -> None:
        self._counted: OrderedDict[TenantId, tuple[float, float]] = OrderedDict()  # bytes, since

    def applied_to(self, result: AttemptResult, *, now: float) -> AttemptResult:
        """Return the result with what is to be stored of its response, if it has one."""
        response = result.outcome.result
        if not isinstance(response, Response):
            return result
        stored = self.stored(response, result.claim.tenant_id, now=now)
        if stored is response:
            return result
        return replace(result, outcome=replace(result.outcome, result=stored))

    def stored(self, response: Response, tenant_id: TenantId, *, now: float) -> Response:
        """Return what is to be stored of a response; `now` is in seconds on any clock."""
        in_headers = header_characters(response.headers)
        if len(response.body) <= SHORT and in_headers <= SHORT:
            return response
        size = len(response.body) + in_headers
        counted, since = self._counted.get(tenant_id, (0.0, now))
        counted = max(0.0, counted - (now - since) * BYTES_PER_HOUR / HOUR)
        is_within = counted + size <= BYTES_PER_HOUR
        self._counted[tenant_id] = (counted + size if is_within else counted, now)
        self._counted.move_to_end(tenant_id)
        if len(self._counted) > MOST_TENANTS:
            self._counted.popitem(last=False)
        return response if is_within else shortened(response)


def shortened(response: Response) -> Response:
    """The beginning of a body, and the first headers as far as they fit."""
    headers, room = [], SHORT
    for name, value in response.headers:
        if len(name) + len(value) <= room:
            headers.append((name, value))
            room -= len(name) + len(value)
    return replace(response, headers=tuple(headers), body=response.body[:SHORT], truncated=True)
