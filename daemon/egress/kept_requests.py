"""
Requests on connections that are open already, without a task and a timer for each.

Most requests are such. Every rule for them is the client's; only the way there is shorter.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from daemon.core.model.attempts import Failure, Outcome, Response
from daemon.core.model.ids import TenantId
from daemon.egress.deadline import Deadlines
from daemon.egress.failures import REQUEST_ERRORS
from daemon.egress.http1 import HttpConnection
from daemon.egress.request_under_way import RequestUnderWay
from daemon.egress.response_reader import RawResponse, ResponseError, ResponseReader


class Client(Protocol):
    """The client's part in the end of a request, however it was sent."""

    def received(
        self, sent: RequestUnderWay, connection: HttpConnection, raw: RawResponse
    ) -> Response:
        """Return the response, and keep or close the connection."""

    def failure(self, error: Exception, sent: RequestUnderWay) -> Failure:
        """Return the failure of a request. Raises PostponedError."""

    async def resend(self, sent: RequestUnderWay) -> Outcome:
        """Send a request again, on a new connection. Raises PostponedError."""


class KeptRequest:
    """
    One such request, which begins at once.

    `ended` is called once, later, with what `WebhookClient.send` would return or raise.
    """

    __slots__ = ("_client", "_connection", "_deadlines", "_ended", "_response", "_sent", "_task")

    def __init__(
        self,
        client: Client,
        sent: RequestUnderWay,
        connection: HttpConnection,
        *,
        deadlines: Deadlines,
        ended: Callable[[Outcome | Exception], None],
    ) -> None:
        self._client = client
        self._sent = sent
        self._connection = connection
        self._deadlines = deadlines
        self._ended: Callable[[Outcome | Exception], None] | None = ended
        self._task: asyncio.Task[None] | None = None
        self._response: ResponseReader | None = None
        self._response = connection.begin(sent.data, self._response_ended)
        deadlines.add(self, sent.timings.started_at, sent.timeout_seconds)

    def cancel(self) -> None:
        """Close the connection and leave nothing behind; `ended` will not be called."""
        self._ended = None
        self._deadlines.remove(self)
        self._connection.close()
        if self._task is not None:
            self._task.cancel()

    @property
    def tenant_id(self) -> TenantId | None:
        """The tenant whose request it is."""
        return self._sent.peer.tenant_id

    def expire(self) -> None:
        """End it: its deadline has passed."""
        if self._response is not None:
            self._response.expire()

    def _response_ended(self, error: Exception | None) -> None:
        if self._ended is None:
            return
        if self._response is None:  # while the request was being written
            asyncio.get_running_loop().call_soon(self._response_ended, error)
            return
        self._deadlines.remove(self)
        if isinstance(error, ResponseError) and not error.response_started:
            # The receiver was just closing the idle connection, which is no failure.
            self._connection.close()
            self._task = asyncio.get_running_loop().create_task(self._resend())
            return
        try:
            outcome: Outcome | Exception = self._sent.outcome(self._result(self._response, error))
        except Exception as fault:  # noqa: BLE001  the caller's to judge, like that of a task
            outcome = fault
        self._ended(outcome)

    def _result(self, response: ResponseReader, error: Exception | None) -> Response | Failure:
        if error is None:
            raw = self._connection.result_of(response)
            return self._client.received(self._sent, self._connection, raw)
        self._connection.close()
        if isinstance(error, REQUEST_ERRORS):
            return self._client.failure(error, self._sent)
        raise error

    async def _resend(self) -> None:
        try:
            outcome: Outcome | Exception = await self._client.resend(self._sent)
        except Exception as error:  # noqa: BLE001  as above
            outcome = error
        self._end(outcome)

    def _end(self, outcome: Outcome | Exception) -> None:
        if self._ended is not None:
            self._ended(outcome)
