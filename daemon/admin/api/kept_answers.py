"""
Stored responses to requests with an idempotency key, sealed like secrets, and their repetition.

Without a master key an answer that holds a credential is not kept.
"""

import hmac
from dataclasses import dataclass

import orjson
from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.core.errors import UnreadableSecretError
from daemon.core.model.idempotency import EarlierRequest, IdempotencyClaim, StoredAnswer
from daemon.secrets.associated_data import idempotency_data
from daemon.secrets.encryption import Vault

REPLAYED = {"Idempotency-Replayed": "true"}
# The largest answers are those of test events, with what was sent and received.
LONGEST_ANSWER = 2 * 1024 * 1024
# Made for each response.
OWN_HEADERS = frozenset({"content-length", "content-type", "date", "server"})


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    """Seals and opens what is kept."""

    vault: Vault

    def kept(
        self, claimed: IdempotencyClaim, response: web.Response, *, shows_credential: bool
    ) -> StoredAnswer:
        """The part of a response to store."""
        body = response.body
        assert body is None or isinstance(body, bytes)
        holds_credential = response.status < 400 and shows_credential
        if (holds_credential and self.vault.newest is None) or len(body or b"") > LONGEST_ANSWER:
            return StoredAnswer(response.status, None)
        text = orjson.dumps(
            {
                "body": None if body is None else body.decode(),
                "contentType": response.content_type,
                "headers": {
                    str(name): value
                    for name, value in response.headers.items()
                    if name.lower() not in OWN_HEADERS
                },
            }
        ).decode()
        return StoredAnswer(response.status, self._sealed(claimed, text, use="answer"))

    def repeated(self, claimed: IdempotencyClaim, earlier: EarlierRequest) -> web.Response:
        """The answer of the earlier request. Raises Problem (409) if it is not kept."""
        answer = earlier.answer
        if answer is None or answer.text is None:
            raise _not_kept(earlier)
        try:
            kept = orjson.loads(self._opened(claimed, answer.text, use="answer"))
        except (UnreadableSecretError, orjson.JSONDecodeError):
            raise _not_kept(earlier) from None
        has_body = kept["body"] is not None
        return web.Response(
            body=kept["body"].encode() if has_body else None,
            status=answer.status,
            content_type=kept["contentType"] if has_body else None,
            headers=kept["headers"] | REPLAYED,
        )

    def seal_fingerprint(self, claimed: IdempotencyClaim, fingerprint: str) -> str:
        """A digest of what was asked for, as it is stored: a body may hold what can be guessed."""
        return self._sealed(claimed, fingerprint, use="request")

    def require_same(
        self, claimed: IdempotencyClaim, earlier: EarlierRequest, fingerprint: str
    ) -> None:
        """Raises Problem: 422 if the earlier request asked for something else, 409 if unknown."""
        try:
            stored = self._opened(claimed, earlier.fingerprint, use="request")
        except UnreadableSecretError:
            raise _not_kept(earlier) from None
        if not hmac.compare_digest(stored.encode(), fingerprint.encode()):
            raise Problem(
                422,
                "this Idempotency-Key was sent with another request: another operation, object,"
                " tenant or body; use a new key for each request",
            )

    def _sealed(self, claimed: IdempotencyClaim, text: str, *, use: str) -> str:
        if self.vault.newest is None:
            return text
        return self.vault.seal(text, associated_data=_data(claimed, use))

    def _opened(self, claimed: IdempotencyClaim, text: str, *, use: str) -> str:
        return self.vault.open_once(text, associated_data=_data(claimed, use))


def _data(claimed: IdempotencyClaim, use: str) -> str:
    return idempotency_data(claimed.caller, claimed.key_hash, use=use)


def _not_kept(earlier: EarlierRequest) -> Problem:
    """The change was made once, and is not made again; the client has to look."""
    members = {} if earlier.object_id is None else {"id": str(earlier.object_id)}
    return Problem(
        409,
        "a request with this Idempotency-Key was carried out, but its answer is not kept: look at"
        " what it changed, or use a new key",
        members=members,
    )
