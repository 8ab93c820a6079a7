"""
Faults of our own that explain why a request has no response: a stall, or a network that is down.

Answers of the receiver and of a policy stand in spite of them. Silence, a broken connection and an
unanswered lookup do not: they may be effects of our own absence.
"""

import asyncio
import ssl

from daemon.core.errors import StalledError
from daemon.egress.client_certificate import UnusableCertificateError
from daemon.egress.deadline import MAX_GRACE_SECONDS
from daemon.egress.network import OwnNetwork
from daemon.egress.proxy import ReceiverUnreachableError, TargetForbiddenError
from daemon.egress.resolver import NoPublicAddressError
from daemon.egress.response_reader import InvalidResponseError, ResponseError
from daemon.egress.routes import SocketAddress
from daemon.egress.tls_session import RefusedTlsError
from daemon.runtime.stalls import StallWatch

STATEMENTS = (
    NoPublicAddressError,
    TargetForbiddenError,
    UnusableCertificateError,
    RefusedTlsError,
    InvalidResponseError,
    ssl.SSLError,
    ConnectionRefusedError,
)
# The receiver's end of the connection came through the network.
SIGNS_OF_LIFE = (ResponseError, ConnectionResetError, ReceiverUnreachableError)


class OwnFaults:
    """
    Those during one request, which has `timeout_seconds`.

    `tried` are the destinations that it has tried to reach.
    """

    __slots__ = ("_began_at", "_network", "_stalls", "_stalls_before", "tried")

    def __init__(self, stalls: StallWatch, network: OwnNetwork, *, timeout_seconds: float) -> None:
        self.tried: list[SocketAddress] = []
        self._stalls = stalls
        self._network = network
        self._stalls_before = stalls.watch(timeout_seconds + 2 * MAX_GRACE_SECONDS)
        self._began_at = asyncio.get_running_loop().time()

    def check(self, error: Exception) -> None:
        """
        Return if the error of the request stands.

        Raises StalledError or NetworkLostError where it is our own, NoSuchNetworkError where the
        endpoint needs a network that this machine never had.
        """
        if isinstance(error, STATEMENTS):
            return
        if self._stalls.count() != self._stalls_before:
            raise StalledError("the daemon or its machine stood still") from error
        if not isinstance(error, SIGNS_OF_LIFE):
            self._network.check(self.tried, since=self._began_at)
