"""
What went wrong, told as RFC 9457 problem documents with a sentence that a person understands.

No document quotes a value that may be secret, and none says more of our own faults than that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.core.errors import DatabaseUnavailableError, PostponedError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is at fault: a member of the body, by a JSON pointer, or a parameter, by its name."""

    place: str
    detail: str

    def as_member(self) -> dict[str, str]:
        kind = "pointer" if self.place.startswith("#") else "parameter"
        return {kind: self.place, "detail": self.detail}


class Problem(Exception):  # noqa: N818  the RFC's own word
    """Ends a request with a document: `error` is the sentence, `more` adds members to it."""

    def __init__(
        self,
        status: int,
        error: str,
        *,
        mistakes: Sequence[Mistake] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.mistakes = mistakes
        self.headers = headers or {}
        self.more = more or {}

    def response(self) -> web.Response:
        document: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.error,
            "error": self.error,
            **self.more,
        }
        if self.mistakes:
            document["errors"] = [each.as_member() for each in self.mistakes]
        return web.Response(
            body=orjson.dumps(document),
            status=self.status,
            content_type=MEDIA_TYPE,
            headers={"Cache-Control": "no-store", **self.headers},
        )


def not_found(what: str) -> Problem:
    """For what is not there, and for what is another tenant's: nobody is told which."""
    return Problem(404, f"there is no such {what}")


@web.middleware
async def telling_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The edge of a request: whatever goes wrong becomes a document."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        return _of_aiohttp(error).response()
    except PostponedError as error:
        return Problem(503, f"not now: {error}", headers={"Retry-After": "5"}).response()
    except DatabaseUnavailableError as error:
        log.warning("api.database_unavailable", reason=str(error))
        sentence = "the database cannot be reached just now"
        return Problem(503, sentence, headers={"Retry-After": "5"}).response()
    except Exception:  # the edge of a request: one fault of ours must not be told to a stranger
        log.exception("api.failed", route=route_of(request))
        return Problem(500, "this failed for a reason of our own; it is in the log").response()


def _of_aiohttp(error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPNotFound():
            return Problem(404, "there is nothing at this address")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            sentence = f"{error.method} is not possible here, but {allowed}"
            return Problem(405, sentence, headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return Problem(413, "the body is larger than 1 MiB")
        case _:
            return Problem(error.status, error.reason or "the request cannot be served")


def route_of(request: web.Request) -> str:
    """The route's pattern: the path itself may hold what somebody else should not see."""
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical
