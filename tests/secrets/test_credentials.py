"""What a webhook's requests carry beside the signature, from the row to the receiver."""

from uuid import UUID, uuid4

import orjson
import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import Credentials, StoredSecrets
from daemon.core.wire import signing
from daemon.secrets.credentials import credentials_of, header_place, redacted
from daemon.secrets.vault import Vault
from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

BEARER = "Bearer t0k3n-t0k3n-t0k3n"


async def with_headers(app: Application, url: str, headers: object) -> tuple[UUID, UUID]:
    """A tenant and its webhook, as the application writes them."""
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, url)
    await app.db.execute(
        "UPDATE webhooks SET custom_headers = $2 WHERE id = $1",
        webhook,
        orjson.dumps(headers).decode(),
    )
    return tenant, webhook


async def test_a_webhook_s_own_headers_go_with_every_request(
    app: Application, database: str, receiver: Receiver
) -> None:
    headers = {"Authorization": BEARER, "X-Env": "production"}
    tenant, webhook = await with_headers(app, receiver.url, headers)
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.received
    assert request.headers["authorization"] == BEARER
    assert request.headers["x-env"] == "production"
    assert request.headers["x-penguinmails-signature"] == signing.sign(request.body, SECRET)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Host": "inside"}, "the header Host is reserved"),
        ({"X": "a\r\nY: b"}, "the value of the header X is not printable ASCII"),
        (["Authorization"], "they are not a JSON object"),
    ],
)
async def test_headers_that_cannot_be_sent_fail_the_attempt_and_nothing_is_sent(
    app: Application, database: str, receiver: Receiver, headers: object, told: str
) -> None:
    tenant, webhook = await with_headers(app, receiver.url, headers)
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))

    row = (await app.deliveries(webhook))[0]
    assert f"the webhook's own headers cannot be sent: {told}" in row["error_message"]
    assert receiver.received == []


async def test_a_receiver_that_sends_our_secrets_back_does_not_get_them_stored(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, webhook = await with_headers(app, receiver.url, {"Authorization": BEARER})
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
    "what Basic wraps": "someone:p4ssw0rd",
    "the password alone": "p4ssw0rd",
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_it_is_concealed_in_an_answer(echo: str) -> None:
    credentials = Credentials(
        "whsec_current",
        "whsec_previous",
        (("Authorization", BEARER), ("X-Other", "Basic c29tZW9uZTpwNHNzdzByZA==")),
    )
    outcome = Outcome(Response(200, (("x", f"<{echo}>"),), f"a {echo} b {echo}"), took_ms=1)

    safe = redacted(outcome, credentials)

    assert safe.result == Response(200, (("x", "<[hidden]>"),), "a [hidden] b [hidden]")


def test_an_answer_without_secrets_stays_the_very_same() -> None:
    outcome = Outcome(Response(200, (("x", "y"),), "short a: abc"), took_ms=1)

    assert redacted(outcome, Credentials(SECRET, None, (("X", "abc"),))) is outcome


def test_credentials_show_nothing_of_themselves() -> None:
    stored = StoredSecrets(WebhookId(uuid4()), "whsec_c4n4ry", None, '{"A": "c4n4ry"}')

    assert "c4n4ry" not in f"{stored!r} {credentials_of(stored, Vault())!r}"


def test_a_secret_that_is_sealed_but_empty_is_no_secret() -> None:
    webhook, vault = WebhookId(uuid4()), Vault(["k" * 32])
    empty = vault.seal("", place=f"{webhook}/secret")

    found = credentials_of(StoredSecrets(webhook, empty), vault)

    assert found == Failure(FailureKind.UNUSABLE, "the webhook has no secret to sign with")


def test_a_header_is_bound_to_its_name() -> None:
    webhook = uuid4()

    assert header_place(webhook, "X-Key") == header_place(webhook, "x-key")
    assert header_place(webhook, "X-Key") != header_place(webhook, "X-Other")
