"""Hanging mail servers, stopped and killed daemons, and database outages."""

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from daemon.core.errors import DatabaseUnavailableError
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, metrics_of, serving, until
from tests.support.hostile import hostile, silent
from tests.support.mailserver import mail_host
from tests.support.notifications import (
    OPS,
    QUICK_STOP_SECONDS,
    SOON,
    all_sent,
    mail_settings,
    notifying,
    open_database,
    row_of,
    sent_count,
    stored_notice,
    webhook,
)
from tests.support.receiver import Receiver


async def test_a_hanging_mail_server_delays_neither_deliveries_nor_a_stop(
    app: Application, database: str, receiver: Receiver
) -> None:
    notice = await stored_notice(app, await webhook(app))
    tenant = await app.tenant()
    await app.webhook(tenant, receiver.url)
    async with hostile(silent) as mute:
        url = f"smtp://127.0.0.1:{mute.port}"
        async with serving(database, notifications=mail_settings(url)) as service:
            await until(lambda: len(mute.connections) == 1)
            await app.events(tenant, 50)
            await until(lambda: len(receiver.received) == 50)
            page = await metrics_of(service)
            began = time.monotonic()
        took = time.monotonic() - began

    [age] = [line for line in page.splitlines() if 'turn_seconds{loop="notifier"}' in line]
    row = await row_of(app, notice)
    assert float(age.split()[1]) < 5
    assert took < QUICK_STOP_SECONDS
    assert (row["sent_at"], row["held"], row["tries"]) == (None, False, 0)


async def test_an_email_under_way_when_the_daemon_stops_is_sent_once(
    app: Application, database: str
) -> None:
    notice = await stored_notice(app, await webhook(app))
    with mail_host() as host:
        host.answering = False
        async with serving(database, notifications=mail_settings(host)) as service:
            await until(lambda: host.begun == 1)
            service.stop()
            host.answering = True

    assert len(host.mails) == 1
    assert (await row_of(app, notice))["sent_at"] is not None


async def test_notices_not_yet_mailed_when_the_daemon_stops_are_released(
    app: Application, database: str
) -> None:
    hooks = [await webhook(app, email=f"{number}@customer.example") for number in range(5)]
    ids = [await stored_notice(app, hook) for hook in hooks]
    with mail_host() as host:
        host.answering = False
        async with serving(database, notifications=mail_settings(host)):
            await until(lambda: host.begun == 1)
        rows = [await row_of(app, each) for each in ids]
        host.answering = True

    assert [row["held"] for row in rows] == [True, False, False, False, False]
    assert {row["tries"] for row in rows} == {0}


async def test_a_notice_of_a_killed_daemon_is_mailed_by_the_next_one(
    app: Application, database: str, tmp_path: Path
) -> None:
    notice = await stored_notice(app, await webhook(app))
    with mail_host() as host:
        host.answering = False
        settings = (
            f'[notifications]\nsmtp_url = "{host.url}"\nfrom = "hooks@example.com"\nto = "{OPS}"\n'
        )
        async with daemon(database, tmp_path, settings=settings, port=free_port()) as killed:
            await until(lambda: host.begun == 1)
            await killed.kill()
        row = await row_of(app, notice)
        host.answering = True
        # As if the lease had expired.
        await app.db.execute("UPDATE webhook_notices SET due_at = now()")
        await app.db.execute("UPDATE webhook_mail_recipients SET leased_until = now()")
        async with daemon(database, tmp_path, settings=settings, port=free_port()):
            await until(lambda: all_sent(app))

    assert (row["sent_at"], row["tries"], row["held"]) == (None, 0, True)
    assert len(host.mails) == 1


async def test_a_notice_with_an_expired_lease_is_mailed_by_another_notifier(
    app: Application, database: str
) -> None:
    notice = await stored_notice(app, await webhook(app))
    with mail_host() as host:
        async with open_database(database) as db, hostile(silent) as mute:
            timing = replace(SOON, lease=timedelta(milliseconds=500))
            async with notifying(db, f"smtp://127.0.0.1:{mute.port}", timing=timing):
                await until(lambda: len(mute.connections) == 1)
                async with notifying(db, host.url):
                    await until(lambda: all_sent(app))

    assert len(host.mails) == 1
    assert (await row_of(app, notice))["tries"] == 1


class BrieflyUnavailable(Database):
    """A database that refuses the first transactions, in which results are recorded."""

    outages = 3

    def transaction(self, *, durable: bool = True, for_all: bool = False) -> Any:
        if self.outages:
            self.outages -= 1
            raise DatabaseUnavailableError("connection refused")
        return super().transaction(durable=durable, for_all=for_all)


async def test_a_short_database_outage_does_not_send_an_email_twice(
    app: Application, database: str
) -> None:
    await stored_notice(app, await webhook(app))
    db = BrieflyUnavailable(database, size=4)
    await db.open()
    with mail_host() as host:
        async with notifying(db, host.url):
            await until(lambda: all_sent(app))
    await db.close(within=timedelta(seconds=1))

    assert db.outages == 0
    assert len(host.mails) == 1


class UnavailableOnce(Database):
    """A database that refuses one connection: the one at which `left` reaches zero."""

    left = 0

    def connection(self, *, within: float = 10.0) -> Any:
        self.left -= 1
        if self.left == 0:
            raise DatabaseUnavailableError("connection refused")
        return super().connection(within=within)


async def test_notices_that_could_not_be_released_wait_until_their_lease_expires(
    app: Application, database: str
) -> None:
    hooks = [await webhook(app, email=f"{number}@customer.example") for number in range(3)]
    ids = [await stored_notice(app, hook) for hook in hooks]
    db = UnavailableOnce(database, size=4)
    await db.open()
    with mail_host() as host:
        host.answering = False
        async with notifying(db, host.url, seconds=0.5):
            await until(lambda: host.begun == 1)
            db.left = 2  # one records that the first email failed, one releases the other notices
            await until(lambda: host.begun == 2)
            host.answering = True
            await until(lambda: sent_count(app))
    rows = [await row_of(app, each) for each in ids]
    await db.close(within=timedelta(seconds=1))

    assert len(host.mails) == 1
    assert [row["tries"] > 0 for row in rows] == [True, False, False]
    assert [row["held"] for row in rows[1:]] == [True, True]
