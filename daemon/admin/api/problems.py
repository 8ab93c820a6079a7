"""
Problems: errors of a request as RFC 9457 documents, with one sentence that a person understands.

No problem quotes a value that may be secret or describes an internal error. Unprintable characters
of what it quotes are escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, TypeVar
from urllib.parse import quote

import orjson
from aiohttp import web

from daemon.core.unprintable import UNPRINTABLE, escape

T = TypeVar("T")

MEDIA_TYPE = "application/problem+json"
RETRY_SOON = {"Retry-After": "5"}  # seconds

Subject = Literal["tenant", "webhook", "event", "delivery", "replay", "token", "link"]
NOT_FOUND: dict[Subject, str] = {
    "tenant": "there is no tenant with this id",
    "webhook": "this tenant has no webhook with this id",
    "event": "this tenant has no event with this id",
    "delivery": "this tenant has no delivery with this id",
    "replay": "this tenant has no replay with this id",
    "token": "there is no valid token with this id",
    "link": "there is no valid link with this id",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error in one place: a JSON pointer into the body (`#/name`) or a query parameter."""

    place: str
    detail: str

    def as_member(self) -> dict[str, str]:
        """The entry of this error in `errors` of a problem document."""
        if self.place.startswith("#"):
            pointer = UNPRINTABLE.sub(lambda found: quote(found[0], errors="replace"), self.place)
            return {"pointer": pointer, "detail": escape(self.detail)}
        return {"parameter": escape(self.place), "detail": escape(self.detail)}


class Problem(Exception):  # noqa: N818  the RFC's own word
    """
    Ends a request with a problem document.

    `error` is its sentence, `field_errors` name the places that are wrong, and `members` are
    added to the document. `performed` says that the operation did its work all the same.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        field_errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
        performed: bool = False,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.field_errors = field_errors
        self.headers = headers or {}
        self.members = members or {}
        self.performed = performed

    def response(self) -> web.Response:
        """Render the document as an HTTP response."""
        sentence = escape(self.error)
        document: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": sentence,
            "error": sentence,
            **self.members,
        }
        if self.field_errors:
            document["errors"] = [each.as_member() for each in self.field_errors]
        return web.Response(
            body=orjson.dumps(document),
            status=self.status,
            content_type=MEDIA_TYPE,
            headers={"Cache-Control": "no-store", **self.headers},
        )


def not_found(subject: Subject) -> Problem:
    """An absent object and another tenant's object get the same answer, which reveals nothing."""
    return Problem(404, NOT_FOUND[subject])


def require_found(found: T | None, subject: Subject) -> T:
    """Return `found`. Raises Problem (404) when it is None."""
    if found is None:
        raise not_found(subject)
    return found


def invalid_member(member: str, reason: str) -> Problem:
    """A member of the body that is well-formed and yet not acceptable."""
    return Problem(422, f"{member}: {reason}", field_errors=[FieldError(f"#/{member}", reason)])
