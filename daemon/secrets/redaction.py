"""
Hide a webhook's own secrets in the response of a receiver that echoes them.

This runs on the event loop for every response, and a customer chooses both sides of the search. So
its work is bounded, and text that cannot be searched within the bounds is hidden as a whole.
"""

import html
import json
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote

from daemon.core.model.attempts import LONGEST_HEADER_VALUE, Outcome, Response
from daemon.core.model.secrets import HIDDEN, Credentials

# Hiding shorter values would remove text that contains them by chance.
SHORTEST_HIDDEN = 8
SHORTEST_CUT = 4  # characters of a secret that a text ends with

# No text of a response contains it, nor any secret.
SEPARATOR = "\x00"
# Characters of texts, times secrets: at worst 4 ns each.
MOST_SEARCHED = 300_000
# In a text of fewer than LINEAR_LENGTH characters, CPython finds a string by a method that is
# quicker as a rule, but takes the product of both lengths at worst; in a longer one, it takes their
# sum (stringlib/fastsearch.h). So the text is padded where the product is above MOST_QUADRATIC.
LINEAR_LENGTH = 30_000
MOST_QUADRATIC = 1_000_000
BLOCK = SHORTEST_HIDDEN
# Texts that may end with a cut-off secret, times secrets.
MOST_ENDS = 400
MOST_BEGINNINGS = 8  # places in the end of one text where one secret may begin


def redact(outcome: Outcome, credentials: Credentials) -> Outcome:
    """
    Return `outcome` with every credential in the response replaced by `[hidden]`.

    The beginning of one that was cut off with the body, or with the value of a header, is hidden
    too. With many secrets and a large response, whole values or the body may be.
    """
    response = outcome.result
    if not isinstance(response, Response):
        return outcome
    secrets = _secrets(credentials)
    texts = [response.body, *[value for _, value in response.headers]]
    whole = texts
    if response.truncated or max(map(len, texts)) >= LONGEST_HEADER_VALUE:
        whole = _without_cut_secrets(texts, secrets, response)
    hidden = _hidden(whole, secrets)
    if hidden == texts:
        return outcome
    body, *values = hidden
    headers = tuple(
        (name, value) for (name, _), value in zip(response.headers, values, strict=True)
    )
    return replace(outcome, result=replace(response, headers=headers, body=body))


def _hidden(texts: list[str], secrets: Sequence[str]) -> list[str]:
    """Replace the secrets, the longest first, in all texts at once."""
    joined = SEPARATOR.join(texts)
    if len(joined) * len(secrets) > MOST_SEARCHED:
        secrets = _secrets_that_may_occur(joined, secrets)
        texts = _searchable(texts, secrets)
        joined = SEPARATOR.join(texts)
    if len(joined) * sum(map(len, secrets)) > MOST_QUADRATIC:
        joined += SEPARATOR * LINEAR_LENGTH
    replaced = joined
    for secret in secrets:
        replaced = replaced.replace(secret, HIDDEN)
    if replaced is joined:
        return texts
    return replaced.split(SEPARATOR, len(texts))[: len(texts)]


def _secrets_that_may_occur(text: str, secrets: Sequence[str]) -> Sequence[str]:
    """
    Leave out most of the secrets that are not in the text.

    Where a secret of two blocks (less one character) occurs, it covers one block of the text.
    """
    blocks = {text[at : at + BLOCK] for at in range(0, len(text), BLOCK)}
    return [
        secret
        for secret in secrets
        if len(secret) < 2 * BLOCK - 1
        or any(secret[at : at + BLOCK] in blocks for at in range(BLOCK))
    ]


def _searchable(texts: Sequence[str], secrets: Sequence[str]) -> list[str]:
    """Hide, as a whole, the texts beyond those that can be searched for all the secrets."""
    room = MOST_SEARCHED // max(1, len(secrets))
    searchable = []
    for text in texts:
        room -= len(text) + len(SEPARATOR)
        searchable.append(text if room >= 0 else HIDDEN)
    return searchable


def _without_cut_secrets(texts: list[str], secrets: Sequence[str], response: Response) -> list[str]:
    """Hide the secrets that were cut off at the end of what is kept of a response."""
    cut = [0] if response.truncated else []
    cut += [at for at in range(1, len(texts)) if len(texts[at]) >= LONGEST_HEADER_VALUE]
    shown = texts.copy()
    examined = MOST_ENDS // max(1, len(secrets))
    for at in cut[:examined]:
        shown[at] = _without_cut_secret(texts[at], secrets)
    for at in cut[examined:]:
        shown[at] = HIDDEN
    return shown


def _without_cut_secret(text: str, secrets: Sequence[str]) -> str:
    start = min((_start_of_cut(text, secret) for secret in secrets), default=len(text))
    if start == len(text):
        return text
    # A whole secret may end with what a cut-off one begins with.
    whole = (len(text) - len(secret) for secret in secrets if text.endswith(secret))
    return text[: min(start, min(whole, default=start))] + HIDDEN


def _start_of_cut(text: str, secret: str) -> int:
    """Return where a beginning of the secret begins that the text ends with, or its length."""
    nothing = len(text)
    if text[-SHORTEST_CUT:] not in secret:
        return nothing
    at = nothing - len(secret)
    for _ in range(MOST_BEGINNINGS):
        at = text.find(secret[:SHORTEST_CUT], max(0, at + 1))
        if at < 0:
            return nothing
        if secret.startswith(text[at:]):
            return at
    return at  # it may begin anywhere from here on


def _secrets(credentials: Credentials) -> Sequence[str]:
    """Return the secrets as they look in a response, the longest first."""
    if not credentials.headers and not credentials.previous_secret:
        return [credentials.secret] if len(credentials.secret) >= SHORTEST_HIDDEN else []
    secrets = [credentials.secret, credentials.previous_secret or ""]
    for _, value in credentials.headers:
        for secret in _secrets_in_header(value):
            secrets += [secret, *_spellings(secret)]
    long_enough = [secret for secret in dict.fromkeys(secrets) if len(secret) >= SHORTEST_HIDDEN]
    return sorted(long_enough, key=len, reverse=True)


@lru_cache(256)
def _spellings(secret: str) -> tuple[str, ...]:
    """Return how receivers print what was sent to them: in JSON, also PHP's, in URLs and HTML."""
    if secret.isalnum():
        return ()
    in_json = json.dumps(secret, ensure_ascii=False)[1:-1]
    in_url = quote(secret, safe="", errors="replace")
    return in_json, in_json.replace("/", "\\/"), in_url, html.escape(secret)


def _secrets_in_header(value: str) -> Iterator[str]:
    """Yield the value, the token after its scheme, and the decoded credentials of `Basic`."""
    yield value
    match value.split(maxsplit=1):
        case [scheme, token]:
            yield token
            if scheme.lower() == "basic":
                yield from _basic_credentials(token)


def _basic_credentials(token: str) -> Iterator[str]:
    """Yield user and password, and the password alone, as a response is decoded."""
    try:
        decoded = a2b_base64(f"{token}==").decode(errors="replace")
    except ValueError:
        return
    user_and_password = decoded.replace("\x00", "\ufffd")
    yield user_and_password
    yield user_and_password.partition(":")[2]
