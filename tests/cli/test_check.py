"""`webhookd check`: its findings, their statuses, and its exit code."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from daemon.cli.checks.secrets import FEWEST_OF_LOST_KEY
from daemon.secrets.associated_data import header_data
from daemon.secrets.encryption import Vault
from daemon.store.secrets import OTHER_ORIGIN
from tests.support.application import Application
from tests.support.commandline import CANARY, webhookd
from tests.support.layouts import add_partition, partition_name
from tests.support.mailserver import mail_host
from tests.support.operational import scoped_webhook
from tests.support.roles import connected_as_other_role, name_of


async def checked(folder: Path, database: str, **env: str) -> tuple[int, dict[str, list[str]]]:
    """Run the check; return its exit code, and its messages by status."""
    ended = await webhookd("check", "--json", folder=folder, env={"DATABASE_URL": database, **env})
    assert ended.err == ""
    report = json.loads(ended.out)
    assert report["ok"] == (ended.code == 0)
    messages: dict[str, list[str]] = {"ok": [], "warning": [], "error": []}
    for check in report["checks"]:
        messages[check["status"]].append(f"{check['check']}: {check['message']}")
    return ended.code, messages


async def test_an_installation_without_mistakes_passes_every_check(
    tmp_path: Path, database: str, app: Application
) -> None:
    await app.webhook(await app.tenant(), "https://example.com/hook")
    (tmp_path / "config.toml").write_text('[retention]\nevents = "7d"\n')

    code, messages = await checked(tmp_path, database)
    shown = await webhookd("check", folder=tmp_path, env={"DATABASE_URL": database})

    assert (code, messages["error"]) == (0, [])
    subjects = [line.split(":")[0] for line in messages["ok"]]
    assert subjects == [
        *("configuration", "database", "schema", "permissions", "installation", "webhooks")
    ]
    assert "config.toml" in messages["ok"][0]
    assert shown.code == 0
    assert shown.out.startswith("✓ configuration  config.toml\n")
    assert "Nothing is wrong." in shown.out


async def test_the_version_of_postgresql_is_shown_as_the_server_prints_it(
    tmp_path: Path, database: str, app: Application
) -> None:
    version = (await app.db.fetchval("SHOW server_version")).split()[0]

    _, messages = await checked(tmp_path, database)

    assert f"database: PostgreSQL {version}, " in "\n".join(messages["ok"])


async def test_without_a_master_key_no_secret_counts_as_sealed_with_the_newest(
    tmp_path: Path, database: str, app: Application
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com/hook")
    await app.db.execute(
        "UPDATE webhooks SET secret_key = 'sealed:0', sealed_with = 'cafe' WHERE id = $1", webhook
    )

    _, messages = await checked(tmp_path, database)
    _, keyed = await checked(tmp_path, database, WEBHOOKD_SECURITY__MASTER_KEYS="k" * 32)

    assert (
        "secrets: security.master_keys is empty, but secrets are sealed (webhooks: 1)"
        in (messages["error"])
    )
    assert not any("newest" in line for line in messages["ok"])
    assert any("newest" in line for line in keyed["ok"])
    assert any("cannot be opened with security.master_keys" in line for line in keyed["error"])


@pytest.mark.parametrize("keys", [{}, {"WEBHOOKD_SECURITY__MASTER_KEYS": "k" * 32}])
async def test_single_rows_that_name_no_key_are_warned_about_by_name(
    tmp_path: Path, database: str, app: Application, keys: dict[str, str]
) -> None:
    tenant = await app.tenant()
    hooks = [await app.webhook(tenant, "https://example.com/hook") for _ in range(6)]
    for hook, key in zip(hooks, ("deadbeef", "\x1b[31m odd"), strict=False):
        await app.db.execute(
            "UPDATE webhooks SET sealed_with = $2, secret_key = 'sealed:1:deadbeef:AAAA'"
            " WHERE id = $1",
            *(hook, key),
        )

    environment = {"DATABASE_URL": database, **keys}
    single = await webhookd("check", "--json", folder=tmp_path, env=environment)
    await app.db.execute("UPDATE webhooks SET sealed_with = 'deadbeef'")
    lost = await webhookd("check", "--json", folder=tmp_path, env=environment)

    named = {
        each["webhookId"]
        for each in json.loads(single.out)["checks"]
        if each["check"] == "secrets" and each["status"] == "warning" and "webhookId" in each
    }
    assert (single.code, named) == (0, {str(hook) for hook in hooks[:2]})
    assert lost.code == 1


async def test_any_number_of_plain_secrets_beside_a_foreign_key_s_name_is_no_lost_key(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    for _ in range(FEWEST_OF_LOST_KEY + 1):
        await app.webhook(tenant, "https://example.com/hook")
    await app.db.execute("UPDATE webhooks SET sealed_with = 'deadbeef'")

    key = "k" * 32
    careless = [
        await checked(tmp_path, database),
        await checked(tmp_path, database, WEBHOOKD_SECURITY__MASTER_KEYS=key),
    ]
    await app.db.execute(
        "UPDATE webhooks SET secret_key = 'sealed:1:cafe:AAAA', sealed_with = 'cafe'"
    )
    lost = [
        await checked(tmp_path, database),
        await checked(tmp_path, database, WEBHOOKD_SECURITY__MASTER_KEYS=key),
    ]

    assert [code for code, _ in careless] == [0, 0]
    assert [code for code, _ in lost] == [1, 1]


async def test_active_webhooks_without_a_known_event_type_are_warned_about_the_first_by_name(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    slips = [
        await app.webhook(tenant, "https://example.com/a", types=["email.openned", "x" * 5000])
        for _ in range(12)
    ]
    others = [
        await app.webhook(tenant, "https://example.com/b", types=types)
        for types in (None, [], ["*"], ["contact.*"], ["nothing", "email.sent"])
    ]
    [paused] = [await app.webhook(tenant, "https://example.com/c", types=["emial.sent"])]
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)

    code, messages = await checked(tmp_path, database)

    named = [line for line in messages["warning"] if "none of the 13 event types" in line]
    assert code == 0
    assert len([line for line in named if any(str(each) in line for each in slips)]) == 10
    assert not any(str(each) in line for each in [*others, paused] for line in named)
    assert "email.openned; did you mean email.opened?" in named[0]
    assert len(max(named, key=len)) < 400
    assert named[-1] == "webhooks: 2 more subscribe to none of the 13 event types"


async def test_each_webhook_that_cannot_be_delivered_to_is_named_without_its_secrets(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    plain = await app.webhook(tenant, f"http://example.com/hook?token={CANARY}")
    private = await app.webhook(tenant, "https://10.0.0.1/x", secret="not-base64")
    mute = await app.webhook(tenant, "https://example.com", secret="")
    odd = await app.webhook(tenant, "https://example.com", filters={"colour": "red"})
    paused = await app.webhook(tenant, f"https://user:{CANARY}@example.com/")
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)

    code, messages = await checked(tmp_path, database)
    strict = await webhookd("check", "--strict", folder=tmp_path, env={"DATABASE_URL": database})

    def about(webhook_id: Any, mark: str) -> str:
        lines = [line for line in messages[mark] if str(webhook_id) in line]
        assert all(str(tenant) in line for line in lines)
        return "\n".join(lines)

    assert (code, messages["error"]) == (0, [])
    assert strict.code == 1
    assert "Something is wrong." in strict.out
    assert "http://example.com/hook: the URL must begin with https://" in about(plain, "warning")
    assert "not public" in about(private, "warning")
    assert "no Standard Webhooks headers" in about(private, "warning")
    assert "no secret" in about(mute, "warning")
    assert 'no filter "colour"' in about(odd, "warning")
    assert "user name or password" in about(paused, "warning")
    assert "4 active, 1 paused; 4 cannot be delivered to" in messages["warning"][-1]
    assert CANARY not in str(messages)


async def test_options_that_are_not_used_as_they_are_stored_are_warnings(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    odd, other, named = [await app.webhook(tenant, "https://example.com") for _ in range(3)]
    await app.db.execute(
        "UPDATE webhooks SET timeout_ms = 0, max_per_second = 'NaN', max_in_flight = 0,"
        " is_active = false WHERE id = $1",
        odd,
    )
    for webhook, name in ((other, "gone"), (named, "quick")):
        await app.db.execute(
            "UPDATE webhooks SET retry_schedule = $1, timeout_ms = 30000 WHERE id = $2",
            *(name, webhook),
        )
    (tmp_path / "config.toml").write_text('[delivery.retry_schedules]\nquick = ["1s"]\n')

    code, messages = await checked(tmp_path, database)

    found = [line for line in messages["warning"] if line.startswith("webhook: ")]
    sentences = {line.partition(": ")[2].partition(": ")[2] for line in found}
    assert code == 0
    assert sentences == {
        "timeout: 0 ms is not from 1s to 30s; 1s is used",
        "maxPerSecond: nan is not from 0.1 to 10000; 10000 is used",
        "maxInFlight: 0 is not from 1 to 256; 1 is used",
        "retrySchedule: gone is not configured; the default schedule is used",
    }
    assert sum(str(odd) in line for line in found) == 3
    assert sum(str(other) in line for line in found) == 1


async def test_a_webhook_whose_headers_were_set_for_another_origin_is_a_warning(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant, vault = await app.tenant(), Vault(["k" * 32])
    moved, waiting, good = [
        await app.webhook(tenant, f"https://{name}.example/")
        for name in ("moved", "waiting", "good")
    ]
    for webhook, url, is_bound in (
        (moved, "https://former.example/", True),
        (waiting, "https://waiting.example/", False),
        (good, "https://GOOD.example:443/path", True),
    ):
        data = header_data(webhook, "X-Key", url=url)
        associated_data = data.with_origin if is_bound else data.without_origin
        await app.db.execute(
            "UPDATE webhooks SET custom_headers = $2, sealed_with = $3 WHERE id = $1",
            webhook,
            json.dumps({"X-Key": vault.seal(CANARY, associated_data=associated_data)}),
            OTHER_ORIGIN if webhook == moved else vault.newest,
        )
    await app.db.execute(
        "INSERT INTO webhook_unbound_secrets SELECT id, endpoint_url FROM webhooks WHERE id = $1",
        waiting,
    )

    code, messages = await checked(tmp_path, database, WEBHOOKD_SECURITY__MASTER_KEYS="k" * 32)

    def about(webhook: object) -> list[str]:
        return [line for line in messages["warning"] if str(webhook) in line]

    assert (code, messages["error"]) == (0, [])
    assert "the custom headers were set for another origin than the URL's" in about(moved)[0]
    assert "is not bound to its URL's origin yet" in about(waiting)[0]
    assert about(good) == []
    assert any("under the key that sealed them (webhooks: 1)" in m for m in messages["warning"])
    assert messages["ok"][-1] == "webhooks: 3 active, 0 paused; 2 with warnings"


async def test_a_webhook_whose_host_is_not_public_or_denied_is_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    reasons = {
        "https://db/": "the host's name is not public",
        "https://db.prod.svc.cluster.local/": "the host's name is not public",
        "https://Hooks.Corp.Example./": "the egress rules of this service forbid this host",
        "https://8.8.8.8/": "the egress rules of this service forbid this host",
    }
    refused = {await app.webhook(tenant, url): reason for url, reason in reasons.items()}
    for url in ("https://corp.example/", "https://hooks.internal./", "https://8.8.4.4/"):
        await app.webhook(tenant, url)

    _, messages = await checked(
        tmp_path,
        database,
        WEBHOOKD_EGRESS__DENY_HOSTS="*.corp.example",
        WEBHOOKD_EGRESS__DENY_NETWORKS="8.8.8.0/24",
        WEBHOOKD_EGRESS__ALLOW_HOSTS="hooks.internal",
    )

    found = [line for lines in messages.values() for line in lines if line.startswith("webhook: ")]
    refusals = [line for line in found if "https://" in line]
    assert len(refusals) == len(refused)
    for webhook, reason in refused.items():
        assert any(str(webhook) in line and reason in line for line in refusals)


async def test_the_mail_login_is_checked_and_no_mail_is_sent(tmp_path: Path, database: str) -> None:
    settings = {"WEBHOOKD_NOTIFICATIONS__FROM": "hooks@example.com"}
    with mail_host(login=True) as host:
        url = f"smtp://hooks%40example.com:p%2Fw@127.0.0.1:{host.port}"
        wrong = url.replace("p%2Fw", CANARY)
        good = await checked(tmp_path, database, **settings, WEBHOOKD_NOTIFICATIONS__SMTP_URL=url)
        bad = await checked(tmp_path, database, **settings, WEBHOOKD_NOTIFICATIONS__SMTP_URL=wrong)

    assert good[0] == 0
    assert f"mail: smtp://127.0.0.1:{host.port} accepts our session" in good[1]["ok"]
    assert any("notifications.to is empty" in line for line in good[1]["warning"])
    assert bad[0] == 1
    assert bad[1]["error"] == [f"mail: smtp://127.0.0.1:{host.port} refuses the login (535)"]
    assert CANARY not in str(bad)
    assert host.mails == []


async def test_ten_thousand_webhooks_are_checked_within_seconds(
    tmp_path: Path, database: str, app: Application
) -> None:
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, event_types)"
        " SELECT $1, 'one of many', 'https://example.com/' || n, 'whsec_YWJj', '{no.such.type}'"
        " FROM generate_series(1, 10000) AS n",
        await app.tenant(),
    )

    began = time.monotonic()
    code, messages = await checked(tmp_path, database)
    took = time.monotonic() - began

    assert code == 0
    assert "10000 active" in messages["ok"][-1]
    assert took < 30  # about one second on a slow machine that does nothing else


async def test_a_scope_that_there_is_not_is_warned_about_and_types_are_judged_by_the_scope(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    odd = await scoped_webhook(app, tenant, "https://example.com/a", "admin\x07")
    await scoped_webhook(app, tenant, "https://example.com/b", "account", types=["webhook.*"])
    wrong = await scoped_webhook(
        app, tenant, "https://example.com/c", "operator", types=["webhook.pausd"]
    )

    code, messages = await checked(tmp_path, database)

    about = [line for line in messages["warning"] if f"of tenant {tenant}" in line]
    assert code == 0
    expected = {
        odd: "no event matches: the scope admin\\x07 is none that there is",
        wrong: "subscribes to none of the 6 operational event types, but to webhook.pausd;"
        " did you mean webhook.paused?",
    }
    assert set(about) == {
        f"webhook: {webhook} of tenant {tenant}: {sentence}"
        for webhook, sentence in expected.items()
    }


async def test_missing_privileges_and_disabled_triggers_are_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    role = f"lowly_{uuid4().hex[:8]}"
    name = database.rpartition("/")[2]
    await app.db.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    await app.db.execute(f"GRANT SELECT ON webhooks, webhookd_migrations TO {role}")
    await app.db.execute("ALTER TABLE webhook_events DISABLE TRIGGER USER")
    try:
        url = re.sub("//[^@]*@", f"//{role}:x@", database)
        code, messages = await checked(tmp_path, url)
        _, with_api = await checked(tmp_path, url, WEBHOOKD_ADMIN__TOKENS=f'["{"t" * 20}"]')
    finally:
        await app.db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert code == 1
    assert f"permissions: role {role} lacks UPDATE on webhooks" in messages["error"]
    assert f"permissions: role {role} lacks INSERT on webhook_deliveries" in messages["error"]
    assert any("trigger webhook_events_arrived" in line for line in messages["error"])
    assert not any("SELECT on webhooks" in line for line in messages["error"])
    assert set(with_api["error"]) - set(messages["error"]) == {
        f"permissions: role {role} lacks {privilege} on webhooks"
        for privilege in ("INSERT", "DELETE")
    } | {
        f"permissions: role {role} lacks INSERT on {table}"
        for table in (
            *("webhook_tenant_tokens", "webhook_idempotency_keys"),
            *("webhook_portal_links", "webhook_operator_sessions", "webhook_holds"),
            "webhook_operator_scopes",
        )
    } | {
        f"permissions: role {role} lacks UPDATE on webhook_portal_links",
        f"permissions: role {role} lacks DELETE on webhook_operator_scopes",
    }
    assert name in messages["ok"][1]


async def test_a_database_without_the_schema_or_out_of_reach_is_an_error(
    tmp_path: Path, empty_database: str
) -> None:
    behind = await checked(tmp_path, empty_database)
    absent = await checked(tmp_path, f"postgresql://me:{CANARY}@127.0.0.1:1/nowhere")

    assert (behind[0], absent[0]) == (1, 1)
    assert "schema: the database's schema lacks 0001_webhooks" in behind[1]["error"][0]
    assert "postgresql://me@127.0.0.1:1/nowhere: the database" in absent[1]["error"][0]
    assert CANARY not in str(absent)


async def test_all_mistakes_in_the_configuration_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[delivery]\ntimeout = "1"\npause_after = "many"\n')

    ended = await webhookd("check", folder=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["config.toml:2:", "config.toml:3:"]


async def test_tenants_with_more_webhooks_than_the_api_allows_are_warned_about(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    for n in range(3):
        await app.webhook(tenant, f"https://HOOKS.example.com/{n}")
    await app.webhook(tenant, "https://other.example.com/")
    await app.webhook(other, "https://hooks.example.com/")
    limits = "[limits]\nwebhooks_per_tenant = {}\nwebhooks_per_host = {}\n"

    found = []
    for per_tenant, per_host in [(3, 2), (4, 3), (0, 0)]:
        (tmp_path / "config.toml").write_text(limits.format(per_tenant, per_host))
        code, messages = await checked(tmp_path, database)
        found.append((code, [each for each in messages["warning"] if each.startswith("limits:")]))

    assert found == [
        (
            0,
            [
                f"limits: tenant {tenant} has 4 webhooks, more than limits.webhooks_per_tenant (3)",
                (
                    f"limits: tenant {tenant} has 3 webhooks at hooks.example.com,"
                    " more than limits.webhooks_per_host (2)"
                ),
            ],
        ),
        (0, []),
        (0, []),
    ]


async def test_of_many_tenants_above_a_limit_the_first_are_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    for n in range(12):
        tenant = await app.tenant()
        for at in range(2):
            await app.webhook(tenant, f"https://host{n}-{at}.example.com/")
    (tmp_path / "config.toml").write_text("[limits]\nwebhooks_per_tenant = 1\n")

    _, messages = await checked(tmp_path, database)

    warnings = [each for each in messages["warning"] if each.startswith("limits:")]
    assert len(warnings) == 11
    assert warnings[-1] == "limits: 2 more tenants and hosts are above"


async def test_types_in_several_dimensions_are_named_with_their_webhook_once(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    bad = await app.webhook(tenant, "https://example.com/a")
    mixed = await app.webhook(tenant, "https://example.com/b", types=["email.sent"])
    await app.db.execute(
        "UPDATE webhooks SET event_types = '{{email.sent,*},{x,email.*}}' WHERE id = $1", bad
    )

    code, messages = await checked(tmp_path, database)

    assert code == 0
    [found] = [
        line for line in messages["warning"] if any(str(each) in line for each in (bad, mixed))
    ]
    assert str(bad) in found
    assert found.endswith("no event matches: event_types: a list is not an event type.")


async def test_types_that_match_nothing_or_are_malformed_are_warnings(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    disjoint = await app.webhook(
        tenant,
        "https://example.com/a",
        types=["email.*"],
        filters={"event_types": ["campaign.launched"]},
    )
    malformed = await app.webhook(
        tenant, "https://example.com/b", types=["email.opened", "email*", "*.opened"]
    )

    code, messages = await checked(tmp_path, database)

    assert (code, messages["error"]) == (0, [])
    found = {line for line in messages["warning"] if line.startswith("webhook: ")}
    no_match = "no event matches: event_types and event_filters.event_types have no type in common"
    malformed_types = 'eventTypes: "email*" is neither an event type, such as email.opened, nor a'
    assert len(found) == 2
    for webhook, sentence in ((disjoint, no_match), (malformed, malformed_types)):
        assert any(
            line.startswith(f"webhook: {webhook} of tenant {tenant}: {sentence}") for line in found
        )
    assert any(line.endswith("(2 are like this)") for line in found)


async def test_days_without_a_partition_and_partitions_that_cannot_be_dropped_are_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    today = datetime.now(UTC).date()
    tomorrow, expired = today + timedelta(days=1), today - timedelta(days=40)
    await app.db.execute(f"DROP TABLE {partition_name(tomorrow)}")
    name = await add_partition(app.db, expired)
    async with connected_as_other_role(database) as other:
        await other.execute(f"CREATE TEMPORARY VIEW mine AS SELECT 1 FROM {name}")

        code, messages = await checked(tmp_path, database)

        role = await name_of(other)
    missing, dependent = [line for line in messages["warning"] if line.startswith("partitions: ")]
    assert code == 0
    assert f"no partition for {tomorrow}: finished deliveries go to" in missing
    assert f"of role {role} depends on the expired partition {name}" in dependent
