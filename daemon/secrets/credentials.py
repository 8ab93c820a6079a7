"""
A webhook's credentials: its secrets opened, its own headers judged, and neither ever shown.

Also the names of the places that a secret is bound to when it is sealed.
"""

import re
import secrets
from binascii import a2b_base64
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import orjson

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.core.model.secrets import HIDDEN, ClientCertificate, Credentials, StoredSecrets
from daemon.core.policy.headers import judge_headers
from daemon.core.policy.refusal import Refusal
from daemon.secrets.vault import Vault

# Shorter ones would tear holes into an answer that holds them by chance.
SHORTEST_HIDDEN = 8


def secret_place(webhook_id: UUID) -> str:
    """One place for the current and the previous secret: rotating moves it from row to row."""
    return f"{webhook_id}/secret"


def header_place(webhook_id: UUID, name: str) -> str:
    return f"{webhook_id}/header/{name.lower()}"


def client_key_place(webhook_id: UUID) -> str:
    return f"{webhook_id}/client_key"


def credentials_of(stored: StoredSecrets, vault: Vault) -> Credentials | Failure:
    """
    What a webhook's requests are signed with and carry, or what is wrong with its own settings.

    Raises UnreadableSecretError when a sealed one cannot be opened.
    """
    place = secret_place(stored.webhook_id)
    secret = vault.open(stored.current, place=place)
    if not secret:
        return Failure(FailureKind.UNUSABLE, "the webhook has no secret to sign with")
    previous = stored.previous and vault.open(stored.previous, place=place)
    if stored.custom_headers is None and stored.client_certificate is None:
        return Credentials(secret, previous)
    headers = _headers_of(stored, vault)
    if isinstance(headers, Refusal):
        return Failure(
            FailureKind.UNUSABLE, f"the webhook's own headers cannot be sent: {headers.reason}"
        )
    return Credentials(secret, previous, headers, _client_of(stored, vault))


def _headers_of(stored: StoredSecrets, vault: Vault) -> tuple[tuple[str, str], ...] | Refusal:
    headers = header_members(stored.custom_headers or "{}")
    if headers is None:
        return Refusal("they are not a JSON object of texts")
    return judge_headers(
        {
            name: vault.open(value, place=header_place(stored.webhook_id, name))
            if isinstance(value, str)
            else value
            for name, value in headers.items()
        }
    )


def header_members(custom_headers: str) -> dict[str, object] | None:
    """What is in the column; None for what can be no headers, such as a number beyond doubles."""
    try:
        members = orjson.loads(custom_headers)
        orjson.dumps(members)  # what is nested more deeply than this cannot be written back
    except (ValueError, TypeError):
        return None
    return members if isinstance(members, dict) else None


def _client_of(stored: StoredSecrets, vault: Vault) -> ClientCertificate | None:
    if stored.client_certificate is None:
        return None
    key = vault.open(stored.client_key or "", place=client_key_place(stored.webhook_id))
    return ClientCertificate(stored.client_certificate, key)


def sealed(stored: StoredSecrets, vault: Vault) -> StoredSecrets:
    """
    The same secrets, all under the vault's newest key; plain when it has none.

    Raises UnreadableSecretError when one of them cannot be opened.
    """
    if vault.newest is None:
        return stored

    def again(text: str | None, place: str) -> str | None:
        return text and vault.seal(vault.open(text, place=place), place=place)

    place = secret_place(stored.webhook_id)
    return replace(
        stored,
        current=again(stored.current, place) or "",
        previous=again(stored.previous, place),
        custom_headers=_sealed_headers(stored, vault),
        client_key=again(stored.client_key, client_key_place(stored.webhook_id)),
        sealed_with=vault.newest,
    )


def _sealed_headers(stored: StoredSecrets, vault: Vault) -> str | None:
    """Every value that is a text; what is of another shape is left for its user to mend."""
    headers = header_members(stored.custom_headers or "null")
    if headers is None:
        return stored.custom_headers
    for name, value in headers.items():
        if isinstance(value, str):
            place = header_place(stored.webhook_id, name)
            headers[name] = vault.seal(vault.open(value, place=place), place=place)
    return orjson.dumps(headers).decode()


def redacted(outcome: Outcome, credentials: Credentials) -> Outcome:
    """The same, without the webhook's own secrets if the receiver sent any of them back."""
    answer = outcome.result
    if not isinstance(answer, Response):
        return outcome
    told = [answer.body, *(value for _, value in answer.headers)]
    found = [word for word in _hidden(credentials) if any(word in text for text in told)]
    if not found:
        return outcome
    pattern = re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))))
    headers = tuple((name, pattern.sub(HIDDEN, value)) for name, value in answer.headers)
    body = pattern.sub(HIDDEN, answer.body)
    return replace(outcome, result=replace(answer, headers=headers, body=body))


def _hidden(credentials: Credentials) -> list[str]:
    words = [credentials.secret, credentials.previous_secret or ""]
    for _, value in credentials.headers:
        words.extend(_words_of(value))
    return [word for word in words if len(word) >= SHORTEST_HIDDEN]


def _words_of(value: str) -> Iterator[str]:
    """A header's value, the token behind its scheme, and what `Basic` only wraps."""
    yield value
    scheme, _, token = value.partition(" ")
    if not token:
        return
    yield token
    if scheme.lower() == "basic":
        try:
            pair = a2b_base64(token).decode()
        except ValueError:
            return
        yield pair
        yield pair.partition(":")[2]


def new_secret() -> str:
    """As in the specification: `whsec_` and 32 random bytes in hex, which are good base64 too."""
    return f"whsec_{secrets.token_hex(32)}"
