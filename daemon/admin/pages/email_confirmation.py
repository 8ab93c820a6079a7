"""
The page on which the owner of an address confirms it, with the code that was mailed there.

Only the button does anything: programs that scan mail open every link in it. The code is in the
fragment of that link, which browsers do not send, so that no proxy's log and no Referer has it; a
script puts it into the form. Without scripts, people paste it from the mail.
"""

import asyncio
import re
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qs

import structlog
from aiohttp import web

from daemon.admin.api.page_templates import TEMPLATES, style_source
from daemon.admin.api.request_body import read_within_deadline
from daemon.core.model.confirmations import ConfirmedAddress
from daemon.store import email_confirmations
from daemon.store.database import Database

log = structlog.get_logger()

CODE = re.compile(r"[A-Za-z0-9_-]{10,100}")

_STYLE = TEMPLATES.get_template("confirm_email.css").render()
_SCRIPT = TEMPLATES.get_template("confirm_email.js").render()

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "script-src 'self'; "
    f"{style_source(_STYLE)}"
)
HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-store"}


def add_page(app: web.Application, database: Database, *, path: str) -> None:
    """Serve the page at `/path`, and its script beside it."""
    page = _Page(database, path)
    app.router.add_get(f"/{path}", page.show)
    app.router.add_post(f"/{path}", page.confirm)
    app.router.add_get(f"/{path}.js", page.script)


@dataclass(frozen=True, slots=True)
class _Page:
    """
    Its URLs are relative: a proxy may serve it below another path.

    Anyone may submit codes, so requests take turns at one connection.
    """

    database: Database
    path: str
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def show(self, _: web.Request) -> web.Response:
        return self._rendered()

    async def script(self, _: web.Request) -> web.Response:
        return web.Response(text=_SCRIPT, content_type="text/javascript", headers=HEADERS)

    async def confirm(self, request: web.Request) -> web.Response:
        code = _code_in(await read_within_deadline(request))
        confirmed = None if code is None else await self._confirm(code)
        if confirmed is None:
            return self._rendered(status=422, is_wrong=True)
        log.info("confirmation.given", tenant_id=str(confirmed.tenant_id))
        return self._rendered(confirmed=confirmed)

    async def _confirm(self, code: str) -> ConfirmedAddress | None:
        code_hash = sha256(code.encode()).digest()
        async with self.turn, self.database.connection() as db:
            tenant_id = await email_confirmations.tenant_of_code(db, code_hash)
        if tenant_id is None:
            return None
        async with self.database.locked(email_confirmations.lock_name(tenant_id)) as db:
            return await email_confirmations.confirm(db, code_hash)

    def _rendered(
        self,
        *,
        status: int = 200,
        is_wrong: bool = False,
        confirmed: ConfirmedAddress | None = None,
    ) -> web.Response:
        text = TEMPLATES.get_template("confirm_email.html").render(
            path=self.path, style=_STYLE, is_wrong=is_wrong, confirmed=confirmed
        )
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)


def _code_in(form: bytes) -> str | None:
    """The code in a submitted form, if there is anything that could be one."""
    try:
        fields = parse_qs(form.decode(), max_num_fields=10)
    except ValueError:
        return None
    code = fields.get("code", [""])[0].strip()
    return code if CODE.fullmatch(code) else None
