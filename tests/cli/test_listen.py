"""`webhookd listen`: a local receiver that checks signatures."""

import asyncio
import io
import json
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.support.application import SECRET, Application
from tests.support.commandline import CANARY, TIMEOUT_SECONDS, Running, running, webhookd
from tests.support.receiver import Receiver, Reply
from tests.support.signed_headers import request_headers

BODY = b'{"id":"evt_1","type":"email.opened","created_at":"2025-11-25T14:30:00Z","data":{}}'


def signed(body: bytes = BODY, secret: str = CANARY, *, age: int = 0) -> dict[str, str]:
    headers = request_headers(
        body=body,
        message_id="evt_1",
        event_type="email.opened",
        delivery_id=uuid4(),
        timestamp=int(time.time()) - age,
        secret=secret,
    )
    return dict(headers)


async def url_of(listener: Running) -> str:
    line = await listener.line(lambda line: "listening on" in line, err=True)
    found = re.search(r"http://[^,]+", line)
    assert found is not None
    return found[0]


async def post(
    url: str,
    headers: dict[str, str],
    body: bytes | io.BytesIO | AsyncIterator[bytes] = BODY,
    **options: Any,
) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers, **options) as answer,
    ):
        await answer.read()
        return answer.status


async def posted(url: str) -> asyncio.Task[int]:
    """Send a request; return it once the listener has read its head and the body is sent next."""
    head_is_read = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        head_is_read.set()
        yield BODY

    request = asyncio.create_task(post(url, signed(), body(), expect100=True))
    await asyncio.wait_for(head_is_read.wait(), TIMEOUT_SECONDS)
    return request


async def test_each_delivery_is_printed_with_its_verdict_and_no_secret(tmp_path: Path) -> None:
    stale = signed(age=600)
    unsigned = {"X-PenguinMails-Event": "email.opened"}
    async with running(
        "listen", "--port", "0", folder=tmp_path, env={"WEBHOOK_SECRET": CANARY}
    ) as listener:
        url = await url_of(listener)
        for headers in (signed(), signed(secret="another"), stale, unsigned):
            assert await post(f"{url}/hook", headers) == 200
        lines = await listener.lines(4)
        code = await listener.stop()

    assert code == 0
    assert "  valid  " in lines[0]
    assert all(part in lines[0] for part in ("email.opened", "evt_1", "→ 200"))
    assert "INVALID" in lines[1]
    assert "INVALID" in lines[2]
    assert "over 5 minutes old" in lines[2]
    assert "not signed" in lines[3]
    assert CANARY not in "".join(listener.out + listener.err)


async def test_with_json_each_delivery_is_an_object_with_headers_and_body(
    tmp_path: Path,
) -> None:
    headers = signed()
    async with running("listen", "--port", "0", "--json", folder=tmp_path) as listener:
        await post(await url_of(listener) + "/a?b=c", headers)
        await post(await url_of(listener), headers, b"\xff")
        first, second = map(json.loads, await listener.lines(2))

    assert first["body"] == BODY.decode()
    assert first["path"] == "/a?b=c"
    assert first["deliveryId"] == headers["X-PenguinMails-Delivery-ID"]
    assert first["headers"]["x-penguinmails-signature"] == headers["X-PenguinMails-Signature"]
    assert first["signature"] == "not checked"
    assert second["bodyBase64"] == "/w=="


async def test_a_listener_can_act_as_a_failing_endpoint_and_accepts_only_post(
    tmp_path: Path,
) -> None:
    async with running("listen", "--port", "0", "--status", "503", folder=tmp_path) as listener:
        url = await url_of(listener)
        status = await post(url, signed())
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            got = answer.status

    assert (status, got) == (503, 405)


async def test_a_listener_can_act_as_a_slow_endpoint_and_reports_senders_that_gave_up(
    tmp_path: Path,
) -> None:
    async with running("listen", "--port", "0", "--delay", "600ms", folder=tmp_path) as listener:
        url = await url_of(listener)
        began = time.monotonic()
        status = await post(url, signed())
        took = time.monotonic() - began
        request = await posted(url)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(request, 0.2)
        patient, hasty = await listener.lines(2)
        code = await listener.stop()

    assert (status, code) == (200, 0)
    assert 0.6 <= took < 5
    assert "did not wait" not in patient
    assert "the sender did not wait for the answer" in hasty


async def test_a_slow_endpoint_that_is_stopped_answers_at_once(tmp_path: Path) -> None:
    async with running("listen", "--port", "0", "--delay", "1h", folder=tmp_path) as listener:
        request = await posted(await url_of(listener))
        await asyncio.sleep(0.3)
        code = await listener.stop()

        assert await asyncio.wait_for(request, TIMEOUT_SECONDS) == 200
    assert code == 0


async def test_large_bodies_are_refused_and_control_characters_are_escaped(
    tmp_path: Path,
) -> None:
    async with running("listen", "--port", "0", "--body", folder=tmp_path) as listener:
        url = await url_of(listener)
        too_large = await post(url, {}, io.BytesIO(b"x" * (2 * 1024 * 1024 + 1)))
        await post(url, {"X-PenguinMails-Event": "a\u009b2Jb"}, b'{"id": "\x1b[2J"}')
        lines = await listener.lines(3)

    assert too_large == 413
    assert "refused with 413" in lines[0]
    assert "\\x1b[2J" in lines[2]
    assert not re.search("[\x00-\x1f\x7f-\x9f]", "".join(lines))


async def test_a_forwarded_delivery_is_unchanged_and_gets_the_applications_response(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(status=418, body=b"short and stout")
    headers = signed()
    async with running(
        *("listen", "--port", "0", "--forward-to", f"{receiver.url}/app?k=v"), folder=tmp_path
    ) as listener:
        status = await post(await url_of(listener), headers)

    [passed_on] = receiver.received
    assert status == 418
    assert passed_on.path == "/app?k=v"
    assert passed_on.body == BODY
    assert headers.items() <= {n: passed_on.headers[n.lower()] for n in headers}.items()


async def test_an_unreachable_application_gives_a_502_with_the_reason(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = f"http://user:{CANARY}@127.0.0.1:{closed.getsockname()[1]}/app?token={CANARY}"
        async with running(
            "listen", "--port", "0", "--forward-to", target, folder=tmp_path
        ) as listener:
            status = await post(await url_of(listener), signed())
            [line] = await listener.lines(1)

    assert status == 502
    assert "/app cannot be reached" in line
    assert CANARY not in line


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = await webhookd("listen", "--port", str(port), folder=tmp_path)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"webhookd: cannot listen on 127.0.0.1:{port}: address already in use\n"


async def test_an_event_travels_from_trigger_through_the_daemon_to_listen(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    env = {
        "DATABASE_URL": database,
        "WEBHOOKD_EGRESS__ALLOW_HTTP": "true",
        "WEBHOOKD_EGRESS__ALLOW_NETWORKS": "127.0.0.1/32",
        "WEBHOOKD_EGRESS__ALLOW_PORTS": "1024-65535",
        "WEBHOOKD_ADMIN__PORT": "0",
    }
    listening = running(
        "listen", "--port", "0", "--json", folder=tmp_path, env={"WEBHOOK_SECRET": SECRET}
    )
    async with listening as listener, running("run", folder=tmp_path, env=env) as daemon:
        await app.webhook(tenant, await url_of(listener) + "/hook")
        await daemon.line(lambda line: "service.started" in line, err=True)
        triggered = await webhookd("trigger", "email.clicked", folder=tmp_path, env=env)
        delivery = json.loads((await listener.lines(1))[0])
        event = json.loads(delivery["body"])
        verified = await webhookd(
            *("verify", "--signature", delivery["headers"]["x-penguinmails-signature"]),
            folder=tmp_path,
            env={"WEBHOOK_SECRET": SECRET},
            stdin=delivery["body"].encode(),
        )
        code = await daemon.stop(signal.SIGTERM)

    assert triggered.out.split()[0] == event["id"] == delivery["eventId"]
    assert (delivery["type"], delivery["signature"]) == ("email.clicked", "valid")
    assert (delivery["penguinMails"], delivery["standardWebhooks"]) == ("valid", "valid")
    assert (verified.code, code) == (0, 0)
    assert SECRET not in "".join(listener.out + daemon.out + daemon.err)
