"""docs/receivers.md: its code accepts what a daemon sends and no forgery, in each language."""

import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from daemon.admin.console.receiver_code import LANGUAGES, SCHEMES
from daemon.core.event_types import EVENT_TYPES
from daemon.core.model.ids import WebhookId
from daemon.store.secret_rotation import rotate
from tests.docs import receivers
from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.receiver import Receiver
from tests.support.receiver_servers import BUILDERS, receiver_server
from tests.support.signed_headers import request_headers

ORDINARY = {"python", "node", "shell"}
OTHER = "whsec_YW5vdGhlciBrZXk="
SCHEME_NAMES = tuple(name for name, _ in SCHEMES)
OWN = "x-penguinmails-signature"
PREVIOUS = f"{OWN}-previous"
STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
NOT_ASCII = (b"\xff\xe9", "sha256=é v1,é".encode(), b"v1,\xf0\x9f sha256=\xf0")
ODD_DATA = (
    '{"city": "Zürich", "penguin": "🐧", "kanji": "企鵝", "lines": "\\u2028", "del": "\x7f"}',
    '{"amount": 1.0, "tiny": 1e-7, "big": 12345678901234567890, "10": 1, "2": 2, "": null}',
    '{"quoted": "\\" \\\\ %s $HOME `id` \\u0001"}',
    '"' + "ü" * 100_000 + '"',
)

Headers = dict[str, str | bytes]


def languages() -> list[object]:
    """Others than the ordinary ones need toolchains, and take long to build."""
    full = (pytest.mark.full, pytest.mark.timeout(900))
    return [pytest.param(each, marks=() if each in ORDINARY else full) for each in BUILDERS]


@asynccontextmanager
async def servers(language: str, folder: Path) -> AsyncIterator[dict[str, str]]:
    """A server for each way of signing; yields their URLs."""
    async with AsyncExitStack() as stack:
        urls = {}
        for scheme in SCHEME_NAMES:
            server = receiver_server(language, scheme, folder / scheme, secret=SECRET)
            url = await stack.enter_async_context(server)
            assert url is not None
            urls[scheme] = url
        yield urls


def posted(url: str, body: bytes, headers: Headers) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("POST", "/webhooks/penguinmails", body, dict(headers))
    status = connection.getresponse().status
    connection.close()
    return status


def signed(
    body: bytes, *, age: int = 0, secret: str = SECRET, previous_secret: str | None = None
) -> Headers:
    headers = request_headers(
        body=body,
        message_id="evt_1",
        event_type="email.opened",
        delivery_id=uuid4(),
        timestamp=int(time.time()) - age,
        secret=secret,
        previous_secret=previous_secret,
    )
    return {name.lower(): value for name, value in headers}


def refused(body: bytes, headers: Headers, scheme: str) -> list[tuple[bytes, Headers]]:
    """Requests made from a genuine one, none of which may be accepted."""
    names = STANDARD if scheme == "standard" else (OWN,)
    without: list[Headers] = [
        {name: headers[name] for name in headers if name != lost} for lost in names
    ]
    forged: list[Headers] = [
        headers | {name: value} for name in names for value in (b"", *NOT_ASCII)
    ]
    requests: list[tuple[bytes, Headers]] = [(body, each) for each in (*without, *forged, {})]
    requests += [(body, signed(body, secret=OTHER)), (body + b" ", headers), (b"", headers)]
    if scheme == "standard":
        late = headers | {"webhook-timestamp": str(int(time.time()) + 5)}
        requests += [(body, late), (body, signed(body, age=3600)), (body, signed(body, age=-3600))]
        requests += [(body, headers | {"webhook-signature": "*"})]
    else:
        requests += [(body, headers | {OWN: each, PREVIOUS: each}) for each in ("*", "sha256=")]
    return requests


async def answered(app: Application, webhooks: list[UUID]) -> Counter[int]:
    """How many attempts got each status."""
    rows = [row for webhook in webhooks for row in await app.deliveries(webhook)]
    return Counter(row["status_code"] for row in rows if row["status_code"] is not None)


def published(language: str) -> tuple[str, ...]:
    """The data of events to deliver; fewer where each request starts a dozen processes."""
    if language == "shell":
        return ODD_DATA[:2]
    return (*(json.dumps(dict(each.sample)) for each in EVENT_TYPES), *ODD_DATA)


@pytest.mark.parametrize("language", languages())
async def test_the_code_accepts_every_delivery_and_no_forgery(
    app: Application, database: str, receiver: Receiver, tmp_path: Path, language: str
) -> None:
    tenant = await app.tenant()
    patient = serving(database, delivery={"timeout": "30s"})
    async with servers(language, tmp_path) as urls, patient:
        webhooks = [await app.webhook(tenant, url) for url in urls.values()]
        rotated = [await app.webhook(tenant, f"{url}/rotated") for url in urls.values()]
        for webhook in rotated:  # the receivers have the previous secret still
            await rotate(
                app.db, WebhookId(webhook), OTHER, overlap=timedelta(hours=1), replace=False
            )
        await app.webhook(tenant, receiver.url)
        texts = published(language)
        for text in texts:
            await app.event(tenant, text=text)
        expected = len(texts) * len(webhooks + rotated)
        await until(lambda: _all_answered(app, webhooks + rotated, expected), within=90)

        assert await answered(app, webhooks + rotated) == {200: expected}
        request = next(each for each in receiver.received if "🐧".encode() in each.body)
        for scheme, url in urls.items():
            body, headers = request.body, dict[str, str | bytes](request.headers)
            accepted = [headers, signed(body), signed(body, previous_secret=OTHER)]
            accepted += [signed(body, age=3600)] if scheme == "signature" else []
            good = [await asyncio.to_thread(posted, url, body, each) for each in accepted]
            bad = [
                (*each, status)
                for each in refused(body, signed(body), scheme)
                if (status := await asyncio.to_thread(posted, url, *each)) != 401
            ]
            assert (scheme, good, bad) == (scheme, [200] * len(accepted), [])


async def _all_answered(app: Application, webhooks: list[UUID], expected: int) -> bool:
    return (await answered(app, webhooks)).total() >= expected


def with_an_empty_key(body: bytes) -> Headers:
    """The headers of an attacker who hopes that the receiver's secret is not set."""
    now = int(time.time())
    digest = hmac.new(b"", f"evt_1.{now}.".encode() + body, hashlib.sha256).digest()
    return {
        OWN: "sha256=" + hmac.new(b"", body, hashlib.sha256).hexdigest(),
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
@pytest.mark.parametrize("language", languages())
async def test_the_code_accepts_nothing_while_its_secret_is_not_set(
    tmp_path: Path, language: str, scheme: str
) -> None:
    async with receiver_server(language, scheme, tmp_path / scheme, secret=None) as url:
        is_accepted = (
            url is not None
            and await asyncio.to_thread(posted, url, b"{}", with_an_empty_key(b"{}")) == 200
        )

    assert not is_accepted


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_that_sign_a_request_by_hand_satisfy_both_ways(tmp_path: Path) -> None:
    [commands] = re.findall(r"```sh\n(id=.*?)```", receivers.DOCUMENT.read_text(), re.DOTALL)
    async with servers("python", tmp_path) as urls:
        printed = {
            scheme: await asyncio.to_thread(run_in_shell, commands, url)
            for scheme, url in urls.items()
        }

    assert printed == dict.fromkeys(SCHEME_NAMES, "200\n")


async def test_the_table_of_the_guide_recognises_an_event_that_comes_again(
    app: Application,
) -> None:
    [block] = re.findall(r"```sql\n(.*?)```", receivers.DOCUMENT.read_text(), re.DOTALL)
    create, insert = block.strip().split("\n\n")
    await app.db.execute(create)

    found = [await app.db.fetchval(insert, each) for each in ("evt_1", "evt_2", "evt_1")]

    assert found == ["evt_1", "evt_2", None]


def run_in_shell(commands: str, url: str) -> str:
    variables = os.environ | {"WEBHOOK_SECRET": SECRET, "RECEIVER_URL": url}
    done = subprocess.run(
        ["sh", "-euc", commands], env=variables, stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout


def test_the_guide_has_each_language_and_the_code_that_the_console_shows() -> None:
    text = receivers.DOCUMENT.read_text()

    assert set(BUILDERS) == {language for language, _ in LANGUAGES}
    assert receivers.places(text) == [f"{la}.{way}" for la, _ in LANGUAGES for way in SCHEME_NAMES]
    assert receivers.filled(text) == text, "run python -m tests.docs.receivers"
