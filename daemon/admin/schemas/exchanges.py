"""The request and the response of one attempt, and the time that each phase took."""

from daemon.admin.schemas.base import ResponseModel


class Timing(ResponseModel):
    """Milliseconds per phase; null for a phase that did not happen."""

    lookup_ms: int | None
    connect_ms: int | None
    tls_ms: int | None
    answer_ms: int | None
    total_ms: int | None


class SentRequest(ResponseModel):
    """The request as it was sent; secret values are hidden."""

    url: str
    """The URL; its query is hidden."""
    headers: dict[str, str]
    body: str
    """The first 256 KiB of the body."""
    body_cut: bool
    """Whether the body is longer than the part that is shown."""
    body_size: int
    """The size of the whole body in bytes."""
    curl: str | None
    """The same request as a curl command; null when the body is cut."""


class ReceivedResponse(ResponseModel):
    """The response as it is stored."""

    status_code: int
    headers: dict[str, str]
    body: str | None
