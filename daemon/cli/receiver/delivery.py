"""One delivery as the local receiver got it, and its reply."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery as it came; the names of `headers` are lower-case."""

    at: datetime
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event_type(self) -> str:
        return self.headers.get("x-penguinmails-event") or str(self._member("type") or "-")

    @property
    def event_id(self) -> str:
        return str(self._member("id") or self.headers.get("webhook-id") or "-")

    @property
    def delivery_id(self) -> str:
        return self.headers.get("x-penguinmails-delivery-id", "-")

    def _member(self, name: str) -> object:
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return parsed.get(name) if isinstance(parsed, dict) else None


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; `trouble` says why the application could not be asked."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    trouble: str | None = None
