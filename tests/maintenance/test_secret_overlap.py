"""Rotated secrets: the previous one signs too during an overlap, and is removed after it."""

from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import orjson
import pytest

from daemon.core.wire import signing
from daemon.maintenance import resealing
from daemon.secrets.encryption import Vault
from daemon.store import secrets
from daemon.store.session import Connection
from tests.support.application import SECRET, Application
from tests.support.commandline import webhookd
from tests.support.daemons import serving, until
from tests.support.receiver import Receiver
from tests.support.sealing import is_sealed_with, keys

NEW = "new-" * 10
NEW_ID = Vault([NEW]).newest


async def test_both_secrets_sign_during_an_overlap_and_the_old_one_is_removed_after_it(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    env = {"DATABASE_URL": database, "WEBHOOKD_SECURITY__MASTER_KEYS": NEW}
    async with serving(database, **keys(NEW)):
        await until(lambda: is_sealed_with(app, NEW_ID, webhook))

        rotated = await webhookd("rotate-secret", str(webhook), "--json", folder=tmp_path, env=env)

        new = orjson.loads(rotated.out)["secretKey"]
        await app.event(tenant)
        await until(lambda: len(receiver.received) == 1)
        await app.db.execute(
            "UPDATE webhooks SET previous_secret_expires_at = now() WHERE id = $1", webhook
        )

        async def previous_is_removed() -> bool:
            return (await app.health(webhook))["previous_secret_key"] is None

        await until(previous_is_removed)
        await app.event(tenant)
        await until(lambda: len(receiver.received) == 2)

    during, after = receiver.received
    assert during.headers["x-penguinmails-signature"] == signing.sign(during.body, new)
    assert during.headers["x-penguinmails-signature-previous"] == signing.sign(during.body, SECRET)
    assert len(during.headers["webhook-signature"].split()) == 2
    assert after.headers["x-penguinmails-signature"] == signing.sign(after.body, new)
    assert "x-penguinmails-signature-previous" not in after.headers
    assert len(after.headers["webhook-signature"].split()) == 1


async def test_many_previous_secrets_are_removed_batch_by_batch(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await app.tenant()
    removed: list[int] = []

    async def counted(db: Connection, *, limit: int) -> int:
        removed.append(await secrets.remove_expired(db, limit=limit))
        return removed[-1]

    replaced = vars(secrets) | {"remove_expired": counted}
    monkeypatch.setattr(resealing, "secrets", SimpleNamespace(**replaced))
    await app.db.execute(
        "INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key,"
        "                      previous_secret_key, previous_secret_expires_at)"
        " SELECT gen_random_uuid(), $1, 'a webhook', 'https://example.com', 'x', 'x', '-infinity'"
        "   FROM generate_series(1, 250)",
        tenant,
    )
    left = "SELECT count(*) FROM webhooks WHERE previous_secret_key IS NOT NULL"
    async with serving(database):
        await until(lambda: nothing_left(app, left))

    assert [each for each in removed if each] == [100, 100, 50]


async def nothing_left(app: Application, count: str) -> bool:
    return not await app.db.fetchval(count)


async def test_a_rotation_without_an_overlap_invalidates_the_old_secret_at_once(
    app: Application, database: str, tmp_path: Path
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com/")

    ended = await webhookd(
        *("rotate-secret", str(webhook), "--overlap", "0s"),
        folder=tmp_path,
        env={"DATABASE_URL": database},
    )

    row = await app.health(webhook)
    assert ended.code == 0
    assert ended.out.splitlines()[0] == row["secret_key"] != SECRET
    assert signing.standard_key(row["secret_key"]) is not None
    assert (row["previous_secret_key"], row["previous_secret_expires_at"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((str(uuid4()),), 1, "there is no webhook"),
        (("not-an-id",), 2, "WEBHOOK"),
        ((str(uuid4()), "--overlap", "31d"), 2, "--overlap: 31d is not between 0s and 30d"),
        ((str(uuid4()), "--overlap", "soon"), 2, "--overlap: "),
    ],
)
async def test_an_impossible_rotation_is_reported_in_one_line(
    database: str, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    ended = await webhookd(
        "rotate-secret", *arguments, folder=tmp_path, env={"DATABASE_URL": database}
    )

    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert message in ended.err
