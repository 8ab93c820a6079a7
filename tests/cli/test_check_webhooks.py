"""`webhookd check` on webhooks: what keeps one from its events, or from being sent to."""

import json
import resource
from pathlib import Path
from typing import Any

from daemon.secrets.associated_data import header_data
from daemon.secrets.encryption import Vault
from daemon.store.secrets import OTHER_ORIGIN
from tests.support.application import Application
from tests.support.checked import checked
from tests.support.commandline import CANARY, webhookd
from tests.support.operational import scoped_webhook


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


def cpu_seconds_of_commands() -> float:
    """The CPU time of all commands that have ended: other programs do not lengthen it much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def test_ten_thousand_webhooks_are_checked_within_seconds(
    tmp_path: Path, database: str, app: Application
) -> None:
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, event_types)"
        " SELECT $1, 'one of many', 'https://example.com/' || n, 'whsec_YWJj', '{no.such.type}'"
        " FROM generate_series(1, 10000) AS n",
        await app.tenant(),
    )

    before = cpu_seconds_of_commands()
    code, messages = await checked(tmp_path, database)
    took = cpu_seconds_of_commands() - before

    assert code == 0
    assert "10000 active" in messages["ok"][-1]
    assert took < 15  # two seconds, of which importing takes one


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
