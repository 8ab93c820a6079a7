"""Each attempt has a span that a collector gets; no delivery waits for the collector."""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from daemon.config import Config, url_validators
from daemon.core.model.secrets import Credentials
from daemon.pipeline.attempt import signed_request
from daemon.pipeline.attempt_spans import HEADER
from daemon.runtime import tracing
from tests.runtime.test_metrics import CLAIM
from tests.support.application import SECRET, Application
from tests.support.daemons import free_port, metrics_of, serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply
from tests.support.samples import samples
from tests.support.signed_headers import parsed

needs_packages = pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry") is None, reason="the extra otel is not installed"
)
LOST = "webhookd_spans_total result=lost"


class Collector:
    """Keeps the spans that it gets by OTLP over HTTP, as protobuf."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.endpoint = ""

    async def take(self, request: web.Request) -> web.Response:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        exported = trace_service_pb2.ExportTraceServiceRequest.FromString(await request.read())
        for of_resource in exported.resource_spans:
            self.services.add(attributes(of_resource.resource)["service.name"])
            self.spans += [span for scope in of_resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")


def attributes(described: Any) -> dict[str, Any]:
    """The attributes of a span or resource, as Python values."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value"))
        for each in described.attributes
    }


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    [address] = runner.addresses
    collector.endpoint = f"http://127.0.0.1:{address[1]}/v1/traces"
    try:
        yield collector
    finally:
        await runner.cleanup()


@needs_packages
async def test_attempts_have_spans_and_requests_carry_their_ids(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(503 if request.path.startswith("/bad") else 200)
    tenant = await app.tenant()
    good = await app.webhook(tenant, receiver.url + "/good")
    bad = await app.webhook(tenant, receiver.url + "/bad?key=1")
    async with collecting() as collector:
        traced = {"otlp_endpoint": collector.endpoint, "propagate": True}
        async with serving(database, tracing=traced):
            for _ in range(3):
                await app.event(tenant)
            await until(lambda: settled(app, good, "success", 3))
            await until(lambda: settled(app, bad, "failed", 3))
            await until(lambda: len(collector.spans) == 6)

    assert collector.services == {"webhookd"}
    sent = {request.headers[HEADER].rpartition("-")[0] for request in receiver.received}
    assert sent == {f"00-{s.trace_id.hex()}-{s.span_id.hex()}" for s in collector.spans}
    [failed, *_] = [s for s in collector.spans if "error.type" in attributes(s)]
    found = attributes(failed)
    assert found.pop("webhookd.delivery.id")
    assert found.pop("webhookd.event.id")
    assert found == {
        "http.request.method": "POST",
        "http.request.resend_count": 0,
        "http.response.status_code": 503,
        "error.type": "503",
        "server.address": "127.0.0.1",
        "server.port": int(receiver.url.rpartition(":")[2]),
        "url.scheme": "http",
        "webhookd.attempt": 1,
        "webhookd.event.type": "email.opened",
        "webhookd.tenant.id": str(tenant),
        "webhookd.webhook.id": str(bad),
    }
    assert "key=1" not in "".join(map(str, collector.spans))


@needs_packages
async def test_deliveries_go_on_without_the_collector_and_lost_spans_are_counted(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "EXPORT_SECONDS", 0.2)
    monkeypatch.setattr(tracing, "EXPORT_EVERY_MS", 10)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    nobody = {"otlp_endpoint": f"http://127.0.0.1:{free_port()}/v1/traces"}
    async with serving(database, tracing=nobody) as service:
        await app.events(tenant, 20)
        await until(lambda: settled(app, webhook, "success", 20))

        async def are_lost() -> bool:
            return samples(await metrics_of(service))[LOST] == 20

        await until(are_lost)

    assert all(HEADER not in request.headers for request in receiver.received)


def test_a_webhook_s_own_header_of_that_name_is_sent_alone() -> None:
    claim = replace(CLAIM, data="{}")
    ours = ((HEADER, "00-ours"),)

    plain, _ = signed_request(claim, Credentials(SECRET), headers=ours)
    own, _ = signed_request(
        claim, Credentials(SECRET, headers=(("Traceparent", "00-own"),)), headers=ours
    )

    assert ours[0] in parsed(plain.header_lines)
    assert ours[0] not in parsed(own.header_lines)


def test_without_the_packages_the_configuration_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(url_validators, "TRACE_EXPORTER", "opentelemetry_is.not_here")

    with pytest.raises(ValueError, match=r"pip install 'penguinmails-webhooks\[otel\]'"):
        Config.model_validate({"tracing": {"otlp_endpoint": "http://127.0.0.1:4318/v1/traces"}})
