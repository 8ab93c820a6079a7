"""Secrets that a receiver echoes are hidden before its response is stored."""

import orjson
import pytest

from daemon.core.model.attempts import Outcome, Response
from daemon.core.model.secrets import Credentials
from daemon.secrets.redaction import redact
from tests.secrets.webhooks import BEARER, webhook_with_headers
from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply


async def test_secrets_that_a_receiver_echoes_are_not_stored(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, webhook = await webhook_with_headers(app, receiver.url, {"Authorization": BEARER})
    receiver.answer = lambda request: Reply(
        headers={"X-Echo": request.headers["authorization"]},
        body=f"you said {request.headers['authorization']}, and your key is {SECRET}".encode(),
    )
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    [row] = await app.deliveries(webhook)
    assert row["response_body"] == "you said [hidden], and your key is [hidden]"
    assert orjson.loads(row["response_headers"])["x-echo"] == "[hidden]"


ECHOES = {
    "the secret": "whsec_current",
    "the previous secret": "whsec_previous",
    "the whole value": BEARER,
    "the token alone": "t0k3n-t0k3n-t0k3n",
    "the credentials of Basic": "someone:p4ssw0rd",
    "the password alone": "p4ssw0rd",
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_an_echoed_secret_is_hidden(echo: str) -> None:
    credentials = Credentials(
        "whsec_current",
        "whsec_previous",
        (("Authorization", BEARER), ("X-Other", "Basic c29tZW9uZTpwNHNzdzByZA==")),
    )
    outcome = Outcome(Response(200, (("x", f"<{echo}>"),), f"a {echo} b {echo}"), took_ms=1)

    redacted = redact(outcome, credentials)

    assert redacted.result == Response(200, (("x", "<[hidden]>"),), "a [hidden] b [hidden]")


@pytest.mark.parametrize(
    "echo",
    [
        r"ab\/cd+ef==\"<x>",  # as PHP prints JSON
        r"ab/cd+ef==\"<x>",
        "ab%2Fcd%2Bef%3D%3D%22%3Cx%3E",
        "ab/cd+ef==&quot;&lt;x&gt;",
    ],
)
def test_a_header_s_value_is_hidden_as_receivers_spell_it(echo: str) -> None:
    credentials = Credentials(SECRET, None, (("Authorization", 'Bearer ab/cd+ef=="<x>'),))

    redacted = redact(Outcome(Response(200, (), f"a {echo} b"), took_ms=1), credentials)

    assert redacted.result == Response(200, (), "a [hidden] b")


def test_a_response_without_secrets_is_returned_unchanged() -> None:
    outcome = Outcome(Response(200, (("x", "y"),), "short a: abc"), took_ms=1)

    assert redact(outcome, Credentials(SECRET, None, (("X", "abc"),))) is outcome


@pytest.mark.parametrize("kept", [4, 8, len(BEARER) - 1])
def test_a_secret_that_is_cut_off_where_a_response_ends_is_hidden(kept: int) -> None:
    credentials = Credentials(SECRET, None, (("Authorization", BEARER),))
    cut = Response(200, (), f"you said {BEARER[:kept]}", truncated=True)

    redacted = redact(Outcome(cut, took_ms=1), credentials).result

    assert isinstance(redacted, Response)
    assert redacted.body == "you said [hidden]"


def test_the_end_of_a_whole_response_stays_though_a_secret_begins_so() -> None:
    whole = Outcome(Response(200, (), f"you said {BEARER[:8]}"), took_ms=1)

    assert redact(whole, Credentials(SECRET, None, (("X", BEARER),))) is whole


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_a_header_without_a_value_hides_nothing_and_breaks_nothing(value: str) -> None:
    """The API takes one, and every attempt looks for its value in the response."""
    outcome = Outcome(Response(200, (), "OK"), took_ms=1)

    assert redact(outcome, Credentials(SECRET, None, (("X-Empty", value),))) == outcome
