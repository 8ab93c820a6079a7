"""
Idempotency keys: a POST that is repeated with its key acts once, and gets the same answer.

The rule is that of the contract, section 7. A key is claimed before its request acts, and the
change is noted on the claim in the change's own transaction: however a daemon ends, no repeat makes
it again. A repeat whose answer was lost, or must not be kept, is a 409.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from uuid import uuid4

import structlog
from aiohttp import web

from daemon.admin.api.auth import Caller
from daemon.admin.api.kept_answers import KeptAnswers
from daemon.admin.api.key_quota import KeyQuota
from daemon.admin.api.loop_time import to_its_end
from daemon.admin.api.operation import ApiRequest, Operation
from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.core.model.audit import AuditRecord
from daemon.core.model.idempotency import EarlierRequest, IdempotencyClaim
from daemon.store import idempotency_keys
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
# As in the Structured Fields of the IETF's draft, with or without the quotation marks.
KEY = re.compile(r'"(?P<quoted>[ -~]+)"|(?P<bare>[!-~](?:[ -~]*[!-~])?)')
# After that, a request whose daemon was killed has ended; most take milliseconds.
LEASE = timedelta(seconds=60)
# A wait, or another token, may change these. 5xx likewise.
NOT_STORED = frozenset({401, 403, 429})

TRIES = 2  # to claim a key that the first request with it gives back at this moment

Act = Callable[[], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Answers requests once for each key."""

    database: Database
    answers: KeptAnswers
    quota: KeyQuota

    async def answer(
        self, operation: Operation, http_request: web.Request, request: ApiRequest, act: Act
    ) -> web.Response:
        """
        Answer as `act` does; with a key that was used before, as it did then.

        Raises Problem as `act` does; 400 for a malformed key, 409 while the first request with the
        key runs or if its answer is not kept, 422 if it asked for something else, 429 at the limit
        of keys.
        """
        if operation.method != "POST" or HEADER not in http_request.headers:
            return await act()
        claimed = _claim(http_request, request)
        asked = _fingerprint(operation, request, await http_request.read())
        request.audit.on_write = partial(self.note_performed, claimed)
        work = self.once(claimed, asked, act, shows_credential=operation.shows_credential)
        return await to_its_end(http_request, work)

    async def once(
        self, claimed: IdempotencyClaim, asked: str, act: Act, *, shows_credential: bool
    ) -> web.Response:
        """
        Answer as `act` does, or as it did when this key was claimed before.

        `asked` tells what is asked for. The change has to be noted with `note_performed`. Raises as
        `answer` does.
        """
        earlier = await self._claim(claimed, asked)
        if earlier is not None:
            return self.answers.repeated(claimed, earlier)
        return await self._act(claimed, act, shows_credential=shows_credential)

    async def _claim(self, claimed: IdempotencyClaim, asked: str) -> EarlierRequest | None:
        """Claim the key; else return the request that has it, which asked for the same."""
        fingerprint = self.answers.seal_fingerprint(claimed, asked)
        async with self.database.connection() as db:
            earlier = await self._claim_or_find(db, claimed, fingerprint)
            if earlier is None:
                return None
            if not earlier.expired:
                self.answers.require_same(claimed, earlier, asked)
                if earlier.answer is not None:
                    return earlier
                if earlier.running:
                    raise _is_running()
                if earlier.performed:
                    return earlier
            # Expired, or its daemon was killed before it made the change.
            if not await idempotency_keys.take_over(
                db, claimed, since=earlier, fingerprint=fingerprint, lease=LEASE
            ):
                raise _is_running()
        return None

    async def _claim_or_find(
        self, db: Connection, claimed: IdempotencyClaim, fingerprint: str
    ) -> EarlierRequest | None:
        """
        None if the key is claimed. Raises Problem: 429 if the caller has too many keys, 409 if
        others claim this one and give it back.
        """
        for _ in range(TRIES):
            has_room = await self.quota.has_room(db, claimed)
            if has_room and await idempotency_keys.claim(
                db, claimed, fingerprint=fingerprint, lease=LEASE
            ):
                self.quota.note(claimed, keys=1)
                return None
            earlier = await idempotency_keys.find(db, claimed)
            if earlier is not None:
                return earlier
            if not has_room:
                raise _too_many_keys()
        raise _is_running()

    async def _act(
        self, claimed: IdempotencyClaim, act: Act, *, shows_credential: bool
    ) -> web.Response:
        try:
            response = await act()
        except Problem as problem:
            await self._conclude(claimed, problem.response())
            raise
        except BaseException:
            await self._conclude(claimed, None)
            raise
        await self._conclude(claimed, response, shows_credential=shows_credential)
        return response

    async def _conclude(
        self,
        claimed: IdempotencyClaim,
        response: web.Response | None,
        *,
        shows_credential: bool = False,
    ) -> None:
        """
        Store the answer, or give the key back; None stands for an internal error.

        A failure is only logged: what was done is noted, and the client gets its answer.
        """
        try:
            async with self.database.transaction() as db:
                if response is None or response.status in NOT_STORED or response.status >= 500:
                    await idempotency_keys.release(db, claimed)
                else:
                    answer = self.answers.kept(claimed, response, shows_credential=shows_credential)
                    await idempotency_keys.store_answer(db, claimed, answer)
                    self.quota.note(claimed, answer_bytes=len(answer.text or ""))
        except Exception:
            log.exception("idempotency.answer_not_stored", caller=claimed.caller)

    async def note_performed(
        self, claimed: IdempotencyClaim, db: Connection, record: AuditRecord
    ) -> None:
        """
        Note in the transaction of a change that it is made, in `RequestAudit.on_write`.

        Raises Problem (409), which undoes the change, if another request has the key by now.
        """
        is_noted = await idempotency_keys.note_performed(
            db, claimed, object_id=record.object_id, tenant_id=record.tenant_id
        )
        if not is_noted:
            raise _is_running()


def _claim(http_request: web.Request, request: ApiRequest) -> IdempotencyClaim:
    return IdempotencyClaim(
        caller=caller_name(request.caller),
        key_hash=sha256(_key(http_request).encode()).digest(),
        id=uuid4(),
        tenant_id=request.caller.tenant_id,
    )


def _key(http_request: web.Request) -> str:
    """Raises Problem (400) for a header that is repeated, or is no key."""
    given = http_request.headers.getall(HEADER)
    match = KEY.fullmatch(given[0])
    if len(given) > 1 or len(given[0]) > LONGEST_KEY or match is None:
        raise Problem(
            400,
            f"{HEADER}: send it once, as 1 to {LONGEST_KEY} printable ASCII characters, such as a"
            " UUID",
        )
    return match["quoted"] or match["bare"]


def caller_name(caller: Caller) -> str:
    """The tenant, whichever of its tokens is used; or an operator by the name of its token."""
    if caller.is_operator:
        return f"operator:{caller.actor.name}"
    return f"tenant:{caller.tenant_id}"


def _fingerprint(operation: Operation, request: ApiRequest, body: bytes) -> str:
    """A digest of what is asked for: the operation, its object, the tenant and the body."""
    named = f"{operation.operation_id} {request.id} {request.caller.tenant_id} {request.query}\n"
    return sha256(named.encode() + body).hexdigest()


class StillRunningProblem(Problem):
    """The first request with the key has not ended."""


def _is_running() -> Problem:
    return StillRunningProblem(
        409,
        f"the first request with this {HEADER} is still running: repeat this one when it is done",
        headers=RETRY_SOON,
    )


def _too_many_keys() -> Problem:
    hours = idempotency_keys.KEPT // timedelta(hours=1)
    return Problem(
        429,
        f"too many {HEADER}s: {idempotency_keys.MOST_KEYS:,} requests, or"
        f" {idempotency_keys.MOST_ANSWER_BYTES >> 20} MiB of answers, are kept for {hours} hours;"
        " send requests without it until some are over",
        headers=RETRY_SOON,
    )
