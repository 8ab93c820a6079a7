"""
What the application's role stores in a column without a largest size: nothing reads it whole.

Every such column of its tables is filled, then everything is asked for that shows any of them. What
PostgreSQL sends to the daemon is counted: one value read whole is more than is allowed.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from daemon.store.bounded_texts import LONGEST_DESCRIPTION, LONGEST_RESPONSE, LONGEST_SENTENCE
from tests.support.api_client import ApiClient
from tests.support.application import Application
from tests.support.commandline import webhookd
from tests.support.console import Console, serving_console
from tests.support.console_scene import SHOWN, Scene, furnish, name_of
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery
from tests.support.large_columns import LENGTH, filling, large_columns
from tests.support.mailserver import MailHost, mail_host
from tests.support.metered_database import Meter, metered
from tests.support.notifications import mail_settings
from tests.support.receiver import Receiver

# Of one answer: some webhooks with all columns at their limits, and some attempts.
MOST_READ = 1_000_000
MOST_ANSWERED = 2_000_000
MOST_MAILED = 200_000
assert MOST_READ < LENGTH
# With these filled nothing more is sent to the webhook: they are filled at last.
OF_REQUESTS = {"endpoint_url", "event_types", "event_filters", "custom_headers"}
OF_REQUESTS |= {"client_certificate", "client_key", "requested_attempts"}
OF_PATHS = re.compile(r"/api/([\w-]+)/\{id\}")


@dataclass(frozen=True, slots=True)
class Furnished:
    """A daemon with objects of everything, and what it reads."""

    scene: Scene
    meter: Meter
    mails: MailHost

    @property
    def app(self) -> Application:
        return self.scene.console.app

    @property
    def api(self) -> ApiClient:
        return self.scene.console.api


@pytest.fixture
async def furnished(
    database: str, app: Application, receiver: Receiver
) -> AsyncIterator[Furnished]:
    async with opened(database, app, receiver) as found:
        yield found


@asynccontextmanager
async def opened(database: str, app: Application, receiver: Receiver) -> AsyncIterator[Furnished]:
    with mail_host() as mails:
        async with (
            metered(database) as (url, meter),
            serving_console(
                url, app, log={"level": "error"}, notifications=mail_settings(mails)
            ) as console,
        ):
            yield Furnished(await furnish(console, receiver), meter, mails)


async def fill(app: Application, *, requests: bool) -> None:
    """Fill all columns without a largest size; only with `requests` those that requests need."""
    for table, values in (await large_columns(app.db)).items():
        kept = {
            name: value for name, value in values.items() if requests or name not in OF_REQUESTS
        }
        if kept:
            await app.db.execute(filling(table, kept))


async def operations(console: Console, scene: Scene) -> list[str]:
    """The paths of all operations that show something."""
    document = (await console.api.get("/openapi.json")).json
    queries = {
        "/api/webhooks/{id}/explain": f"?eventId={scene.objects['events']}",
        "/api/search": "?text=receiver",
        "/api/deliveries": "?error=x",
    }
    kinds = {**scene.objects, "portal-links": scene.objects["links"]}
    return [
        OF_PATHS.sub(lambda found: f"/api/{found[1]}/{kinds.get(found[1], uuid4())}", path)
        + queries.get(path, "")
        for path, methods in document["paths"].items()
        if "get" in methods
    ]


async def too_large(furnished: Furnished) -> dict[str, tuple[int, int, int]]:
    """Status, bytes answered and bytes read of what is larger than it may be, or an error."""
    found: dict[str, tuple[int, int, int]] = {}
    scene, meter = furnished.scene, furnished.meter

    def note(name: str, status: int, text: str) -> None:
        size = status, len(text.encode()), meter.received
        if status >= 500 or size[1] > MOST_ANSWERED or size[2] > MOST_READ:
            found[name] = size

    for path in await operations(scene.console, scene):
        meter.reset()
        answer = await furnished.api.get(path)
        note(path, answer.status, answer.text)
    async with scene.console.operator() as client:
        for page in SHOWN:
            meter.reset()
            shown = await client.get(scene.path(page))
            note(name_of(page), shown.status, shown.text)
    return found


@pytest.mark.parametrize("requests", [False, pytest.param(True, marks=pytest.mark.full)])
async def test_no_answer_and_no_page_reads_a_large_column_whole(
    furnished: Furnished, *, requests: bool
) -> None:
    await fill(furnished.app, requests=False)
    if requests:
        await fill(furnished.app, requests=True)

    assert await too_large(furnished) == {}


async def test_sending_failing_and_mailing_read_no_large_column_whole(
    furnished: Furnished,
) -> None:
    """Nor does what a person asks for: a test, a retry, a change."""
    app, scene, api = furnished.app, furnished.scene, furnished.api
    await fill(app, requests=False)
    down = UUID(str(scene.objects["webhooks"]))
    await app.db.execute("UPDATE webhooks SET consecutive_failures = 4 WHERE id = $1", down)
    furnished.meter.reset()
    await app.event(scene.tenant, {"n": 1})
    await until(lambda: len(furnished.mails.mails) > 0)
    of_event = furnished.meter.received
    furnished.meter.reset()
    answers = [
        await api.post(f"/api/webhooks/{down}/test"),
        await api.post(f"/api/webhooks/{down}/pause"),
        await api.post(f"/api/webhooks/{down}/resume"),
        await api.patch(f"/api/webhooks/{down}", {"name": "changed"}),
        await api.post(f"/api/webhooks/{down}/rotate-secret"),
        await api.post(f"/api/deliveries/{scene.objects['deliveries']}/retry"),
    ]

    assert of_event < MOST_READ
    assert max(len(each.raw) for each in furnished.mails.mails) < MOST_MAILED
    assert furnished.meter.received < MOST_READ
    assert [each.status for each in answers] == [400, 200, 200, 200, 200, 202]
    # What was shown cut off, and not changed, is stored as it was.
    stored = await app.db.fetchval("SELECT length(description) FROM webhooks WHERE id = $1", down)
    assert stored > LONGEST_DESCRIPTION


async def test_the_check_reads_no_large_column_whole(
    tmp_path: Path, furnished: Furnished, database: str
) -> None:
    await fill(furnished.app, requests=False)
    await fill(furnished.app, requests=True)
    async with metered(database) as (url, meter):
        ended = await webhookd("check", folder=tmp_path, env={"DATABASE_URL": url})
        listed = await webhookd("list", folder=tmp_path, env={"DATABASE_URL": url})

    assert (ended.code, listed.code) == (0, 0), ended
    assert meter.received < MOST_READ
    assert len(ended.out) + len(listed.out) < MOST_MAILED


async def test_the_longest_texts_that_the_daemon_or_its_api_writes_are_shown_whole(
    furnished: Furnished,
) -> None:
    app, api = furnished.app, furnished.api
    webhook = UUID(str(furnished.scene.objects["webhooks"]))
    description, sentence = "ü" * LONGEST_DESCRIPTION, "漢" * LONGEST_SENTENCE
    changed = await api.patch(f"/api/webhooks/{webhook}", {"description": description})
    await app.db.execute(
        "UPDATE webhooks SET filter_error = $2, paused_reason = $2 WHERE id = $1",
        *(webhook, sentence),
    )
    kept = "\N{REPLACEMENT CHARACTER}" * LONGEST_RESPONSE
    failed = {"status": "failed", "error_message": sentence, "response_body": kept}
    delivery = await insert_delivery(app, webhook, status_code=500, **failed)
    found = (await api.get(f"/api/webhooks/{webhook}")).json
    attempt = (await api.get(f"/api/deliveries/{delivery}")).json

    assert changed.status == 200
    assert found["description"] == description
    assert (found["filterError"], found["pausedReason"]) == (sentence, sentence)
    assert (attempt["errorMessage"], attempt["response"]["body"]) == (sentence, kept)
