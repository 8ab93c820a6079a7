"""A webhook's credentials, from its row to the request that the receiver gets."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.attempts import Failure, FailureKind
from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.policy.origins import origin_of
from daemon.core.wire import signing
from daemon.secrets.associated_data import client_key_data, header_data, secret_associated_data
from daemon.secrets.credentials import open_credentials
from daemon.secrets.encryption import Vault
from tests.secrets.webhooks import BEARER, webhook_with_headers
from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

URL = "https://example.com/hook"


async def test_a_webhook_s_custom_headers_are_sent_with_every_request(
    app: Application, database: str, receiver: Receiver
) -> None:
    headers = {"Authorization": BEARER, "X-Env": "production"}
    tenant, webhook = await webhook_with_headers(app, receiver.url, headers)
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.received
    assert request.headers["authorization"] == BEARER
    assert request.headers["x-env"] == "production"
    assert request.headers["x-penguinmails-signature"] == signing.sign(request.body, SECRET)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Host": "inside"}, "the header Host is reserved"),
        ({"X": "a\r\nY: b"}, "the value of the header X is not printable ASCII"),
        ({"X": "a\u202eb"}, "the value of the header X is not printable ASCII"),
        ({"Keep-Alive": "timeout=5"}, "the header Keep-Alive is reserved"),
        ({"Transfer_Encoding": "chunked"}, "the name of the header Transfer_Encoding has an under"),
        (["Authorization"], "they are not a JSON object"),
    ],
)
async def test_invalid_custom_headers_fail_the_attempt_and_nothing_is_sent(
    app: Application, database: str, receiver: Receiver, headers: object, reason: str
) -> None:
    tenant, webhook = await webhook_with_headers(app, receiver.url, headers)
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))

    row = (await app.deliveries(webhook))[0]
    assert f"the webhook's own headers cannot be sent: {reason}" in row["error_message"]
    assert receiver.received == []


def test_credentials_do_not_appear_in_reprs() -> None:
    stored = StoredSecrets(
        WebhookId(uuid4()), "whsec_c4n4ry", None, '{"A": "c4n4ry"}', endpoint_url=URL
    )

    assert "c4n4ry" not in f"{stored!r} {open_credentials(stored, Vault())!r}"


def test_a_sealed_empty_secret_is_no_secret() -> None:
    webhook, vault = WebhookId(uuid4()), Vault(["k" * 32])
    empty = vault.seal("", associated_data=f"{webhook}/secret")

    opened = open_credentials(StoredSecrets(webhook, empty, endpoint_url=URL), vault)

    assert opened == Failure(FailureKind.UNUSABLE, "the webhook has no secret to sign with")


def test_a_sealed_header_is_bound_to_its_name_in_any_case() -> None:
    webhook = uuid4()

    assert header_data(webhook, "X-Key", url=URL) == header_data(webhook, "x-key", url=URL)
    assert header_data(webhook, "X-Key", url=URL) != header_data(webhook, "X-Other", url=URL)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_uses_or_origins_share_their_associated_data(
    name: str, other_name: str, url: str, other_url: str
) -> None:
    webhook = uuid4()
    header, other = (
        header_data(webhook, each, url=f"https://{host}/")
        for each, host in ((name, url), (other_name, other_url))
    )
    key = client_key_data(webhook, url=f"https://{url}/")

    former = {header.without_origin, other.without_origin, key.without_origin}
    present = {header.with_origin, other.with_origin, key.with_origin}
    assert not former & present
    assert secret_associated_data(webhook) not in former | present
    assert key.with_origin not in {header.with_origin, other.with_origin}
    same = (name.lower(), origin_of(f"https://{url}/")) == (
        other_name.lower(),
        origin_of(f"https://{other_url}/"),
    )
    assert (header.with_origin == other.with_origin) == same
