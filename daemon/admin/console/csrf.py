"""
The defence against requests that another site makes a browser send (CSRF).

The rule: a request that may change something has this origin, and the token that was put into the
page for this session.
"""

import hmac
from hashlib import sha256

from aiohttp import web

from daemon.admin.api.problems import Problem

FIELD = "csrf"
CONTEXT = b"webhookd console form\0"


def token_of(cookie: str) -> str:
    """The token in the forms of the session with this cookie; the cookie is secret."""
    return hmac.new(cookie.encode(), CONTEXT, sha256).hexdigest()[:40]


def check_origin(request: web.Request) -> None:
    """
    Raises Problem (403) for a request that was sent by a page of another origin.

    A browser names the origin with every POST. A client that is no browser need not. The header is
    compared as text, because parsers raise errors for much that it may contain.
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
        raise Problem(403, "this form belongs to another site: reload the page and try again")


def check_token(given: str, cookie: str) -> None:
    """Raises Problem (403) for a form without the session's token."""
    if not hmac.compare_digest(given.encode(errors="replace"), token_of(cookie).encode()):
        raise Problem(403, "the page is from another session: reload it and try again")
