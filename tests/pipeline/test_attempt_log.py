"""An attempt's line says whose it is; an endpoint that fails all the time fills no log."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from daemon.core.model.ids import WebhookId
from daemon.core.wire.url_hosts import host_of
from daemon.pipeline.attempt_log import AttemptLog
from daemon.pipeline.failure_lines import MOST_OF_ONE
from tests.runtime.test_metrics import attempt_result

SOON = timedelta(minutes=1)


async def test_a_line_names_tenant_type_and_host() -> None:
    with capture_logs() as lines:
        AttemptLog().attempted(attempt_result(200))

    [line] = lines
    assert line["event"] == "delivery.attempted"
    assert line["tenant_id"] == str(UUID(int=1))
    assert line["event_type"] == "email.sent"
    assert line["host"] == "example.com"


async def test_failures_of_one_webhook_are_counted_after_the_first_of_a_minute() -> None:
    failed, delivered = attempt_result(503, SOON), attempt_result(200)
    other = replace(failed, claim=replace(failed.claim, webhook_id=WebhookId(UUID(int=2))))

    with capture_logs() as lines:
        log = AttemptLog()
        for _ in range(1000):
            log.attempted(failed)
        log.attempted(other)
        log.attempted(delivered)
        log.close()
        log.attempted(failed)
        log.close()

    attempted = [line for line in lines if line["event"] == "delivery.attempted"]
    assert [line["status"] for line in attempted] == [503] * (MOST_OF_ONE + 1) + [200, 503]
    [unlogged] = [line for line in lines if line["event"] == "delivery.failures_unlogged"]
    assert (unlogged["count"], unlogged["host"]) == (1000 - MOST_OF_ONE, "example.com")
    assert unlogged["webhook_id"] == str(UUID(int=1))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://user:pw@Receiver.example:8443/path?key=1#x", "receiver.example"),
        ("https://[2001:db8::1]/", "2001:db8::1"),
        ("https://[bad", None),
        ("no url", None),
        ("https://a\u202eb/", "a\\u202eb"),
        (f"https://{'a' * 1000}/", "a" * 253),
    ],
)
def test_only_the_host_of_a_url_is_shown(url: str, host: str | None) -> None:
    assert host_of(url) == host
