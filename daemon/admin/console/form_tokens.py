"""
Forms that act once, however often they are sent: by a double click, a reload, or to two daemons.

The rule: the same form of the same page with the same input is the same request, and gets the same
answer. It is an idempotency key of the session. What is kept of the answer is sealed with the
session's cookie, which only the browser has.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from uuid import uuid4

import orjson
from aiohttp import web

from daemon.admin.api.idempotency import Idempotency, StillRunningProblem, caller_name
from daemon.admin.api.kept_answers import KeptAnswers
from daemon.admin.api.loop_time import to_its_end
from daemon.admin.api.problems import Problem
from daemon.admin.console.form_token import FIELD
from daemon.admin.console.page import PageHandler, PageRequest
from daemon.admin.console.sessions import Session
from daemon.core.model.idempotency import IdempotencyClaim
from daemon.secrets.encryption import Vault
from daemon.store import idempotency_keys

WAIT_SECONDS = 30.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class FormTokens:
    """Answers forms once each."""

    idempotency: Idempotency

    async def answer(self, request: PageRequest, handler: PageHandler) -> web.StreamResponse:
        """
        Answer a form as `handler` does; one that was sent before, as it was then.

        A repeat waits for the first to end. Raises Problem: 422 for a form without a token, 409 if
        the first is still running after a while or its answer is not kept.
        """
        if not request.form.get(FIELD):
            raise Problem(422, "the form is incomplete: reload the page and try again")
        claimed, keys = _claim(request, _digest(request)), self._keys(request.session)
        noted = replace(request, on_write=partial(keys.note_performed, claimed))

        async def act() -> web.Response:
            response = await handler(noted)
            assert isinstance(response, web.Response)
            return response

        async def once() -> web.Response:
            return await keys.once(claimed, "", act, shows_credential=True)

        return await to_its_end(request.http, _first_or_repeated(once))

    async def take_secret(self, request: PageRequest, path: str) -> str | None:
        """
        The secret that a form of this session answered with a redirect to this path, once.

        None if it was taken before, or is not kept.
        """
        digest = _shown_digest(request)
        if digest is None:
            return None
        claimed, keys = _claim(request, digest), self._keys(request.session)
        async with self.idempotency.database.transaction() as db:
            earlier = await idempotency_keys.find(db, claimed)
            if earlier is None or earlier.answer is None or earlier.answer.text is None:
                return None
            kept = keys.answers.repeated(claimed, earlier)
            if kept.headers.get("Location") != _location(request, path, digest):
                return None
            secret = kept.text
            without = keys.answers.kept(
                claimed, _redirect(request, path, digest, text=None), shows_credential=False
            )
            is_ours = await idempotency_keys.replace_answer(
                *(db, claimed), old=earlier.answer, new=without
            )
        return secret if is_ours and secret else None

    def _keys(self, session: Session) -> Idempotency:
        """The idempotency keys, with answers that only this session's cookie opens."""
        answers = KeptAnswers(Vault([session.cookie]))
        return replace(self.idempotency, answers=answers)


def redirect_with_secret(request: PageRequest, path: str, secret: str) -> web.Response:
    """
    Send the browser to the page that shows a secret, in answer to a form that acts once.

    Browsers ignore the text of a redirect: it is what `take_secret` takes.
    """
    return _redirect(request, path, _digest(request), text=secret)


def _redirect(request: PageRequest, path: str, digest: bytes, *, text: str | None) -> web.Response:
    headers = {"Location": _location(request, path, digest), "Cache-Control": "no-store"}
    return web.Response(status=303, text=text, headers=headers)


def _location(request: PageRequest, path: str, digest: bytes) -> str:
    return f"{request.base}{path}{'&' if '?' in path else '?'}{FIELD}={digest.hex()}"


def _shown_digest(request: PageRequest) -> bytes | None:
    try:
        return bytes.fromhex(request.query.get(FIELD, "")) or None
    except ValueError:
        return None


async def _first_or_repeated(once: Callable[[], Awaitable[web.Response]]) -> web.Response:
    """Raises Problem (409) if the first is still running after a while."""
    end = asyncio.get_running_loop().time() + WAIT_SECONDS
    while True:
        try:
            return await once()
        except StillRunningProblem:
            if asyncio.get_running_loop().time() > end:
                raise
            await asyncio.sleep(POLL_SECONDS)


def _claim(request: PageRequest, digest: bytes) -> IdempotencyClaim:
    caller = request.session.caller(request.tenant_id)
    return IdempotencyClaim(caller_name(caller), digest, uuid4(), request.tenant_id)


def _digest(request: PageRequest) -> bytes:
    """Identifies the form, its page, its input and the session."""
    identity = [str(request.session.signed.id), request.http.path, sorted(request.form.items())]
    return sha256(b"console form\0" + orjson.dumps(identity)).digest()
