"""
Requests that came by a link on another site, such as a mail's in a browser.

Browsers send the session's cookie (SameSite=Strict) with none of them. The rule: a page of this
site repeats the request before it asks people to sign in.
"""

from aiohttp import web


def came_from_another_site(request: web.Request) -> bool:
    """Whether a browser says that a page of another site led here."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Site") == "cross-site"
