"""
Sessions of the console: how they begin, over which connections, and that they end at once.

Here requests are sent as a browser without scripts would; test_entrance.py uses a browser.
"""

import asyncio
import re
from datetime import timedelta
from urllib.parse import quote

import pytest

from daemon.admin.api.failed_logins import MAX_FAILURES
from tests.support.api_client import OPERATOR
from tests.support.application import Application
from tests.support.console import Console, ConsoleClient, serving_console
from tests.support.daemons import serving

WRONG = "wrong-wrong-wrong-wrong-wrong"
PUBLIC = "console.example.com"
PROXIED = {
    "admin": {
        "trusted_proxies": ["127.0.0.0/8"],
        "allowed_hosts": [PUBLIC, "127.0.0.1"],
        "allowed_origins": ["https://app.example.com"],
    },
}
HTTPS = {"Host": PUBLIC, "X_Forwarded_For": "198.51.100.7", "X_Forwarded_Proto": "https"}


def code_of(link: str) -> str:
    return link.partition("#")[2]


async def is_open(client: ConsoleClient, console: Console) -> bool:
    found = await client.get(console.path("/webhooks"))
    assert found.status in {200, 303}, found
    return found.status == 200


async def test_a_wrong_token_is_counted_and_the_right_one_is_never_locked_out(
    console: Console,
) -> None:
    async with console.client() as client:
        wrong = [
            await client.post("/console/sign-in", {"token": WRONG}) for _ in range(MAX_FAILURES)
        ]
        beyond = await client.post("/console/sign-in", {"token": WRONG})
        right = await client.post("/console/sign-in", {"token": OPERATOR})

    assert {each.status for each in wrong} == {422}
    assert "This is not the token of an operator." in wrong[0].shown
    assert WRONG not in wrong[0].text
    assert (beyond.status, beyond.headers["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert "too many wrong tokens from your address" in beyond.shown
    assert (right.status, right.location) == (303, "/console/tenants")


async def test_a_link_is_entered_once_even_by_two_browsers_at_the_same_time(
    console: Console,
) -> None:
    link = await console.link()
    async with console.client() as first, console.client() as second:
        found = await asyncio.gather(
            *(each.post("/console/enter", {"code": link}) for each in (first, second))
        )
        opened, refused = (first, second) if found[0].status == 303 else (second, first)
        again = await opened.post("/console/enter", {"code": link})
        elsewhere = await refused.post("/console/enter", {"code": link})
        other = await opened.post("/console/enter", {"code": "another"})

    assert sorted(each.status for each in found) == [303, 422]
    # It leads back to the session that it began, which it begins nowhere else.
    assert (again.status, again.location) == (303, console.path("/webhooks"))
    assert again.cookies == []
    assert [elsewhere.status, other.status] == [422, 422]
    assert "was used before, has expired or was revoked" in elsewhere.shown


async def test_a_link_replaces_the_session_of_another_only_after_a_question(
    console: Console,
) -> None:
    await console.app.db.execute(
        "UPDATE tenants SET name = 'Acme <b>' WHERE id = $1", console.other_tenant
    )
    link = await console.link(tenantId=str(console.other_tenant))
    others = console.path("/webhooks", console.other_tenant)
    for session, name in ((console.operator, "operator token-1"), (console.portal, "")):
        async with session() as client:
            asked = await client.post("/console/enter", {"code": link})
            again = await client.post("/console/enter", {"code": link, "replaces": "0" * 40})

            assert [each.status for each in (asked, again)] == [200, 200]
            assert [each.cookies for each in (asked, again)] == [[], []]
            assert name in asked.shown
            assert "The link opens the webhooks of Acme <b> instead" in asked.shown
            assert await is_open(client, console)
    async with console.operator() as client:
        asked = await client.post("/console/enter", {"code": link})
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
        entered = await client.post("/console/enter", fields)

        assert (entered.status, entered.location) == (303, others)
        assert (await client.get(others)).status == 200
        assert (await client.get("/console/tenants")).status == 404


async def test_a_link_of_the_same_tenant_opens_at_once(console: Console) -> None:
    async with console.portal(scope="read") as client:
        entered = await client.post("/console/enter", {"code": await console.link()})
        wrong = await client.post("/console/enter", {"code": "another"})

    assert (entered.status, wrong.status) == (303, 422)


@pytest.mark.parametrize("end", ["expired", "revoked"])
async def test_a_link_that_is_over_opens_nothing_and_its_session_ends_at_once(
    console: Console, database: str, end: str
) -> None:
    unused = await console.link()
    async with (
        console.client() as client,
        console.portal() as entered,
        # Another daemon has the same sessions.
        serving(database, admin={"tokens": [OPERATOR]}) as other,
    ):
        elsewhere = f"http://127.0.0.1:{other.port}{console.path('/webhooks')}"
        assert await is_open(entered, console)
        assert (await entered.get(elsewhere)).status == 200

        if end == "revoked":
            for link in (await console.api.get("/api/portal-links")).json["links"]:
                assert (await console.api.delete(f"/api/portal-links/{link['id']}")).status == 204
        else:
            await console.app.db.execute(
                "UPDATE webhook_portal_links SET expires_at = now() - $1::interval",
                timedelta(seconds=1),
            )

        assert (await client.post("/console/enter", {"code": unused})).status == 422
        assert not await is_open(entered, console)
        assert (await entered.get(elsewhere)).status == 303


async def test_signing_out_ends_the_session_for_whoever_has_its_cookie(console: Console) -> None:
    async with console.operator() as client, console.client() as thief:
        found = await client.post("/console/sign-in", {"token": OPERATOR})
        stolen = {"Cookie": found.cookies[0].partition(";")[0]}
        path = console.path("/webhooks")
        assert (await thief.call("GET", path, headers=stolen)).status == 200
        await client.get(path)

        forged = await client.post("/console/sign-out", {"csrf": "0" * 40})
        await client.get(path)
        signed_out = await client.post("/console/sign-out")

        assert (forged.status, signed_out.status) == (403, 303)
        assert "Max-Age=0" in signed_out.cookies[0]
        assert (await thief.call("GET", path, headers=stolen)).status == 303


async def test_a_session_ends_when_its_operators_token_is_taken_from_the_configuration(
    console: Console, database: str
) -> None:
    tokens = [{"name": "token-1", "token": "an0ther-an0ther-an0ther"}]
    async with (
        console.operator() as operator,
        console.portal() as portal,
        serving(database, admin={"tokens": tokens}) as changed,
    ):
        url = f"http://127.0.0.1:{changed.port}{console.path('/webhooks')}"

        assert [(await each.get(url)).status for each in (operator, portal)] == [303, 303]


async def test_a_forged_or_altered_cookie_is_no_session(console: Console) -> None:
    async with console.client() as client:
        found = await client.post("/console/enter", {"code": await console.link()})
        name, _, value = found.cookies[0].partition(";")[0].partition("=")
        middle = len(value) // 2
        altered = value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
    async with console.client() as client:
        path = console.path("/webhooks")
        tried = [
            (await client.call("GET", path, headers={"Cookie": f"{name}={each}"})).status
            for each in (value, altered, value[:-1], "whs_", "é", value * 50)
        ]

    assert tried[0] == 200
    assert set(tried[1:]) <= {303, 400}


async def test_on_this_machine_the_cookie_is_readable_by_no_script_and_sent_to_no_other_site(
    console: Console,
) -> None:
    async with console.client() as client:
        found = await client.post("/console/sign-in", {"token": OPERATOR})

    [cookie] = found.cookies
    attributes = cookie.split("; ")[1:]
    assert cookie.startswith("webhookd-console=whs_")
    assert {"Path=/", "HttpOnly", "SameSite=Strict"} <= set(attributes)
    assert "Secure" not in attributes
    assert OPERATOR not in cookie


async def test_over_https_the_cookie_is_secure_and_partitioned_only_within_an_allowed_frame(
    database: str, app: Application
) -> None:
    async with (
        serving_console(database, app, **PROXIED) as console,
        console.client(**HTTPS) as client,
    ):
        signed_in = await client.post("/console/sign-in", {"token": OPERATOR})
        framed = await client.post(
            "/console/enter",
            {"code": await console.link()},
            headers={"Sec-Fetch-Dest": "iframe"},
        )
        page = await client.get("/console/enter")

    [plain], [partitioned] = signed_in.cookies, framed.cookies
    assert plain.startswith("__Host-webhookd=whs_")
    assert set(plain.split("; ")[2:]) == {"Path=/", "HttpOnly", "Secure", "SameSite=Strict"}
    assert set(partitioned.split("; ")[2:]) == {
        *("Path=/", "HttpOnly", "Secure", "SameSite=None", "Partitioned"),
    }
    assert "frame-ancestors https://app.example.com" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": PUBLIC},
        {"Host": PUBLIC, "X_Forwarded_For": "198.51.100.7"},
        {"X_Forwarded_For": "198.51.100.7"},
    ],
    ids=["by a name", "by a proxy over http", "by a proxy with a loopback name"],
)
async def test_over_plain_http_nobody_enters_but_from_this_machine(
    database: str, app: Application, headers: dict[str, str]
) -> None:
    async with serving_console(database, app, **PROXIED) as console:
        link = await console.link()
        async with console.client(**headers) as client:
            pages = [await client.get(f"/console/{name}") for name in ("sign-in", "enter")]
            refused = [
                await client.post("/console/sign-in", {"token": OPERATOR}),
                await client.post("/console/enter", {"code": link}),
            ]
        async with console.client() as client:
            entered = await client.post("/console/enter", {"code": link})

    assert [each.status for each in refused] == [403, 403]
    assert [each.cookies for each in refused] == [[], []]
    assert all("needs https" in each.shown for each in (*pages, *refused))
    assert entered.status == 303  # the code was not used up


async def test_a_header_that_names_https_is_believed_of_no_other_than_a_trusted_proxy(
    console: Console,
) -> None:
    async with console.client(X_Forwarded_Proto="https") as client:
        found = await client.post("/console/sign-in", {"token": OPERATOR})

    assert found.cookies[0].startswith("webhookd-console=")


@pytest.mark.parametrize(
    ("following", "location"),
    [
        ("/events?type=email.opened", "/console/events?type=email.opened"),
        ("//evil.example/", "/console/tenants"),
        ("https://evil.example/", "/console/tenants"),
        ("/\\evil.example", "/console/tenants"),
        ("/%0d%0aSet-Cookie:a=b", "/console/%0d%0aSet-Cookie:a=b"),
        ("/a\r\nSet-Cookie: a=b", "/console/tenants"),
        ("/../../evil", "/console/tenants"),
        ("/t/%2e%2E/%2e./evil", "/console/tenants"),
        ("javascript:alert(1)", "/console/tenants"),
    ],
)
async def test_signing_in_leads_back_to_a_page_of_the_console_only(
    console: Console, following: str, location: str
) -> None:
    async with console.client() as client:
        shown = await client.get("/console/sign-in", next=following)
        found = await client.post("/console/sign-in", {"token": OPERATOR, "next": following})

    assert "<script>" not in shown.text
    assert found.location == location


async def test_a_page_is_come_back_to_after_signing_in(console: Console) -> None:
    path = f"{console.path('/events')}?type=email.opened&before={quote('2026-01-01T00:00:00Z')}"
    async with console.client() as client:
        sent = await client.get(path)
        page = await client.get(sent.location)
        following = page.text.partition('name="next" value="')[2].partition('"')[0]
        found = await client.post(
            "/console/sign-in", {"token": OPERATOR, "next": following.replace("&amp;", "&")}
        )

        assert (await client.get(found.location)).status == 200
    assert found.location.partition("?")[0] == console.path("/events")


async def test_codes_and_tokens_are_in_no_log_and_no_address(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    link = await console.link()
    async with console.client() as client:
        entered = await client.post("/console/enter", {"code": link})
        signed_in = await client.post("/console/sign-in", {"token": OPERATOR})
        await client.post("/console/enter", {"code": code_of(link)})

    assert code_of(link) not in entered.location
    assert OPERATOR not in signed_in.location
    logged = "".join(capsys.readouterr())
    assert code_of(link) not in logged
    assert OPERATOR not in logged
    assert entered.cookies[0].partition("=")[2].partition(";")[0] not in logged
