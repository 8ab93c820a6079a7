"""Hide a webhook's own secrets in the response of a receiver that echoes them."""

import re
from binascii import a2b_base64
from collections.abc import Iterator
from dataclasses import replace

from daemon.core.model.attempts import Outcome, Response
from daemon.core.model.secrets import HIDDEN, Credentials

# Hiding shorter values would remove text that contains them by chance.
SHORTEST_HIDDEN = 8
SHORTEST_CUT = 4  # characters of a secret that a response ends with


def redact(outcome: Outcome, credentials: Credentials) -> Outcome:
    """Return `outcome` with every credential in the response replaced by `[hidden]`."""
    response = outcome.result
    if not isinstance(response, Response):
        return outcome
    secrets = _secrets(credentials)
    if response.truncated:
        response = replace(response, body=_without_beginning_of_secret(response.body, secrets))
        outcome = replace(outcome, result=response)
    texts = [response.body, *(value for _, value in response.headers)]
    found = [secret for secret in secrets if any(secret in text for text in texts)]
    if not found:
        return outcome
    longest_first = sorted(found, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    headers = tuple((name, pattern.sub(HIDDEN, value)) for name, value in response.headers)
    body = pattern.sub(HIDDEN, response.body)
    return replace(outcome, result=replace(response, headers=headers, body=body))


def _without_beginning_of_secret(body: str, secrets: list[str]) -> str:
    """Hide a secret that was cut off at the end of what is kept of a response."""
    ends = [
        length
        for secret in secrets
        for length in range(SHORTEST_CUT, len(secret))
        if body.endswith(secret[:length])
    ]
    return f"{body[: -max(ends)]}{HIDDEN}" if ends else body


def _secrets(credentials: Credentials) -> list[str]:
    secrets = [credentials.secret, credentials.previous_secret or ""]
    for _, value in credentials.headers:
        secrets.extend(_secrets_in_header(value))
    return [secret for secret in secrets if len(secret) >= SHORTEST_HIDDEN]


def _secrets_in_header(value: str) -> Iterator[str]:
    """Yield the value, the token after its scheme, and the decoded credentials of `Basic`."""
    yield value
    scheme, _, token = value.partition(" ")
    if not token:
        return
    yield token
    if scheme.lower() == "basic":
        try:
            user_and_password = a2b_base64(token).decode()
        except ValueError:
            return
        yield user_and_password
        yield user_and_password.partition(":")[2]
