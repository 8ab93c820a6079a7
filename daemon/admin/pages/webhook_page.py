"""
The page to which links in mails lead while there is no console: how to look at that webhook.

It shows nothing that the link does not say itself: who reads it has no token.
"""

from base64 import b64encode
from hashlib import sha256
from uuid import UUID

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("daemon.admin"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STYLE = _TEMPLATES.get_template("confirm_email.css").render()

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)
HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-store"}
UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def add_page(app: web.Application) -> None:
    """Serve the page at `/webhooks/<id>`."""
    app.router.add_get(f"/webhooks/{{id:{UUID_PATTERN}}}", _show)


async def _show(request: web.Request) -> web.Response:
    webhook_id = UUID(request.match_info["id"])
    text = _TEMPLATES.get_template("webhook.html").render(webhook_id=webhook_id, style=_STYLE)
    return web.Response(text=text, content_type="text/html", headers=HEADERS)
