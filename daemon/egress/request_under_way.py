"""One request from its beginning to its outcome, whichever way it is sent."""

from daemon.core.model.attempts import Failure, Outcome, Request, Response, Trace
from daemon.egress.http_messages import request_head, shown_head
from daemon.egress.own_faults import OwnFaults
from daemon.egress.peer import Peer
from daemon.egress.timings import Timings

SHORT_BYTES = 16 * 1024  # to copy so much costs less than to send two parts


class RequestUnderWay:
    """A request with its peer, and what is measured and noted meanwhile."""

    __slots__ = ("_head", "own_faults", "peer", "request", "timeout_seconds", "timings")

    def __init__(
        self,
        request: Request,
        peer: Peer,
        *,
        timings: Timings,
        own_faults: OwnFaults,
        timeout_seconds: float,
    ) -> None:
        self.request = request
        self.peer = peer
        self.timings = timings
        self.own_faults = own_faults
        self.timeout_seconds = timeout_seconds
        self._head = request_head(peer.target, request)

    @property
    def data(self) -> tuple[bytes, ...]:
        """
        Head and body, as they are sent one after the other.

        Only a short body is copied: a receiver that does not read makes the transport keep it.
        """
        head, body = self._head.encode("latin-1"), self.request.body
        return (head + body,) if len(body) <= SHORT_BYTES else (head, body)

    def outcome(self, result: Response | Failure) -> Outcome:
        """Return the outcome; the request ends now."""
        took_ms, stages = self.timings.read()
        shown = shown_head(self.peer.target, self.request, self._head)
        return Outcome(result, took_ms, Trace(shown, stages))
