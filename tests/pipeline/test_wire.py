"""Receivers of other authors accept deliveries of the specification's own events."""

import pytest
from standardwebhooks import Webhook

from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.javascript import javascript_receiver
from tests.support.receiver import Receiver

# Data as the application inserts them; the example receivers log data.contact.email and data.url.
DATA = {
    "the specification's": """{"email_id": "msg_xyz789", "campaign_id": "camp_def456",
        "contact": {"id": "cont_ghi012", "email": "user@example.com", "first_name": "Sarah"},
        "opened_at": "2025-11-25T14:30:00Z", "location": {"city": "New York"}}""",
    "floats": '{"contact": {}, "a": 1.0, "b": 0.1, "c": -2.50, "d": 1234567.890123, "e": 5e-324}',
    "exponents": '{"contact": {}, "a": 1e21, "b": 1e-7, "c": 1.5e300, "d": 123e-20, "e": 1E2}',
    "index keys": '{"contact": {}, "10": 1, "2": 2, "a": {"1": 1, "01": 2, "b": 3, "0": 4}}',
    "nested arrays": '{"contact": {}, "a": [[1, [2.0, [3e22, [[], {}]]]], [null, true, "x"]]}',
    "other alphabets": '{"contact": {"email": "用户@例子.中国"}, "n": "Zoë 🚀 \\u2028 \\u007f"}',
    "escapes": '{"contact": {}, "a": "\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0001 \\u001f", "": ""}',
    "safe integers": '{"contact": {}, "a": 9007199254740991, "b": -9007199254740991, "c": 0}',
}
BIG_INTEGERS = '{"contact": {}, "a": 12345678901234567890, "b": -9007199254740993}'


@pytest.mark.parametrize("example", ["spec_json", "spec_raw", "standard"])
async def test_receivers_in_javascript_accept_every_delivery(
    app: Application, database: str, example: str
) -> None:
    tenant = await app.tenant()
    async with javascript_receiver(example, secret=SECRET) as receiver, serving(database):
        await app.webhook(tenant, receiver.url)
        verdicts = {}
        for name, text in DATA.items():
            await app.event(tenant, text=text)
            verdicts[name] = (await receiver.next_line())["verified"]

    assert verdicts == dict.fromkeys(DATA, True)


@pytest.mark.parametrize("example", ["spec_raw", "standard"])
async def test_big_integers_keep_their_digits_for_receivers_that_verify_the_raw_body(
    app: Application, database: str, example: str
) -> None:
    tenant = await app.tenant()
    async with javascript_receiver(example, secret=SECRET) as receiver, serving(database):
        await app.webhook(tenant, receiver.url)
        await app.event(tenant, text=BIG_INTEGERS)
        verdict = await receiver.next_line()

    assert verdict["verified"]


async def test_the_standard_webhooks_library_for_python_accepts_every_delivery(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        for text in (*DATA.values(), BIG_INTEGERS):
            await app.event(tenant, text=text)
        await until(lambda: settled(app, webhook, "success", len(DATA) + 1))

    verifier = Webhook(SECRET)
    for request in receiver.received:
        verifier.verify(request.body, request.headers)
    assert len(receiver.received) == len(DATA) + 1
    assert any(b"12345678901234567890" in request.body for request in receiver.received)
