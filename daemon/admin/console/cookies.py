"""
The session's cookie: never readable by scripts, never sent by plain http but to this machine.

Within a frame of another site, browsers send only cookies that are marked for it; such a cookie is
partitioned: it is sent in frames of that very site only.
"""

from aiohttp import web

# `__Host-` has browsers refuse the cookie unless it is Secure, and of this very host.
SECURE_NAME = "__Host-webhookd"
LOOPBACK_NAME = "webhookd-console"
ATTRIBUTES = "Path=/; HttpOnly"


def session_of(request: web.Request, *, https: bool) -> str:
    """The value of the session's cookie; empty if there is none."""
    return request.cookies.get(SECURE_NAME if https else LOOPBACK_NAME, "")


def set_session(
    response: web.StreamResponse, value: str, *, max_age: int, https: bool, framed: bool
) -> None:
    """Set the cookie for `max_age` seconds; zero removes it."""
    name, security = (SECURE_NAME, "; Secure") if https else (LOOPBACK_NAME, "")
    site = "SameSite=None; Partitioned" if framed and https else "SameSite=Strict"
    response.headers.add(
        "Set-Cookie", f"{name}={value}; Max-Age={max_age}; {ATTRIBUTES}{security}; {site}"
    )
