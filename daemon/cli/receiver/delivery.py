"""A delivery as the local receiver got it, and the reply to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Delivery:
    """A received request; the names of `headers` are lower-case."""

    received_at: datetime
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event_type(self) -> str:
        """The type in the header, else the one in the body, else `-`."""
        return self.headers.get("x-penguinmails-event") or str(self._body_member("type") or "-")

    @property
    def event_id(self) -> str:
        """The id in the body, else the one in the `webhook-id` header, else `-`."""
        return str(self._body_member("id") or self.headers.get("webhook-id") or "-")

    @property
    def delivery_id(self) -> str:
        """The id of this attempt, or `-`."""
        return self.headers.get("x-penguinmails-delivery-id", "-")

    def _body_member(self, name: str) -> object:
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return parsed.get(name) if isinstance(parsed, dict) else None


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to a delivery; `trouble` says what went wrong between sender and application."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    trouble: str | None = None


async def read_delivery(request: web.Request) -> Delivery:
    """Read a request to its end. Raises HTTPRequestEntityTooLarge for a body over the limit."""
    body = await request.read()
    return Delivery(datetime.now(UTC), request.path_qs, _merged_headers(request), body)


def _merged_headers(request: web.Request) -> dict[str, str]:
    """Combine repeated headers into one each, as RFC 9110, section 5.3 allows."""
    merged: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        merged[lower] = f"{merged[lower]}, {value}" if lower in merged else value
    return merged
