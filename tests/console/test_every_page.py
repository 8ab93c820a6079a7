"""
What holds for every page of the console, and every form: whose they are, and what browsers may do.

The pages are those that are declared: a new one is tested without being named here.
"""

from typing import Any

import pytest
import pytest_asyncio

from daemon.admin.console import form_token
from daemon.admin.console.page import Page
from tests.support.console import VIEWER, Console, ConsoleClient, Found
from tests.support.console_scene import HOSTILE, POSTED, SHOWN, Scene, furnish, name_of
from tests.support.receiver import Receiver

CHANGED_BY_FORMS = ("webhooks", "webhook_replays", "webhook_portal_links", "webhook_tenant_tokens")
# Forms that are posted, and change nothing; each is named here on purpose.
READING_FORMS = {"POST /webhooks/check", "POST /webhooks/preview"}
SECRET_TEXTS = ("whsec_", "msg_1", "Hostile", "maintenance", "/down")


@pytest_asyncio.fixture(loop_scope="session")
async def scene(console: Console, receiver: Receiver) -> Scene:
    return await furnish(console, receiver)


async def contents(scene: Scene) -> list[str | None]:
    """What is stored, of what forms may change."""
    tables = [f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t"
              for table in CHANGED_BY_FORMS]  # fmt: skip
    db = scene.console.app.db
    deliveries = await db.fetchval("SELECT count(*)::text FROM webhook_deliveries")
    return [*[await db.fetchval(each) for each in tables], deliveries]


async def answers(
    client: ConsoleClient, scene: Scene, pages: list[Page], **options: Any
) -> dict[str, Found]:
    """Open these pages, or post a form with nothing but its tokens to each."""
    fields = {form_token.FIELD: form_token.new_form_token()} | options.pop("fields", {})
    return {
        name_of(page): (
            await client.get(scene.path(page))
            if page.method == "GET"
            else await client.post(scene.path(page), fields, **options)
        )
        for page in pages
    }


def statuses(found: dict[str, Found]) -> dict[str, int]:
    return {name: each.status for name, each in found.items()}


def all_of(pages: list[Page], status: int) -> dict[str, int]:
    return {name_of(page): status for page in pages}


async def test_without_a_session_no_page_shows_anything_and_no_form_acts(scene: Scene) -> None:
    before = await contents(scene)
    async with scene.console.client() as client:
        found = await answers(client, scene, [*SHOWN, *POSTED])

    assert statuses(found) == all_of([*SHOWN, *POSTED], 303)
    assert {each.location.partition("?")[0] for each in found.values()} == {"/console/sign-in"}
    assert [each for each in found.values() if each.text] == []
    assert await contents(scene) == before


async def test_the_pages_of_another_tenant_are_not_found(scene: Scene) -> None:
    own = [page for page in [*SHOWN, *POSTED] if not page.operators]
    about_objects = [page for page in own if "{" in page.path]
    stranger = Scene(scene.console, scene.console.other_tenant, scene.objects)
    members = {"tenantId": str(scene.console.other_tenant)}
    async with scene.console.portal(**members) as client:
        before = await contents(scene)
        guessed = await answers(client, scene, own)
        carried_over = await answers(client, stranger, about_objects)

    assert statuses(guessed) == all_of(own, 404)
    assert statuses(carried_over) == all_of(about_objects, 404)
    shown = [each.text for each in (*guessed.values(), *carried_over.values())]
    assert [text for text in SECRET_TEXTS if any(text in each for each in shown)] == []
    assert await contents(scene) == before


async def test_a_tenants_people_find_none_of_the_operators_pages(scene: Scene) -> None:
    operators = [page for page in [*SHOWN, *POSTED] if page.operators]
    async with scene.console.portal() as client:
        found = await answers(client, scene, operators)

    assert statuses(found) == all_of(operators, 404)


async def test_a_session_that_may_only_read_changes_nothing_and_sees_no_button(
    scene: Scene,
) -> None:
    assert {name_of(page) for page in POSTED if page.reads} == READING_FORMS
    changing = [page for page in POSTED if not page.reads]
    async with (
        scene.console.portal(scope="read") as reader,
        scene.console.operator(VIEWER) as viewer,
    ):
        before = await contents(scene)
        of_tenant = [page for page in changing if not page.operators]
        refused = await answers(reader, scene, of_tenant)
        refused_operator = await answers(viewer, scene, changing)
        pages = await answers(reader, scene, [page for page in SHOWN if not page.operators])

    assert statuses(refused) == all_of(of_tenant, 403)
    assert statuses(refused_operator) == all_of(changing, 403)
    assert await contents(scene) == before
    buttons = [
        (name, form)
        for name, page in pages.items()
        for form in page.text.split("<form")[1:]
        if "<button" in (inside := form.partition("</form>")[0])
        and 'method="post"' in inside
        and "/sign-out" not in inside
    ]
    assert [name for name, _ in buttons] == []


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"csrf": ""}, {}),
        ({"csrf": "0" * 40}, {}),
        ({}, {"Origin": "https://evil.example"}),
        ({}, {"Origin": "null"}),
    ],
    ids=["no token", "a forged token", "another origin", "a hidden origin"],
)
async def test_no_form_acts_that_another_page_sent(
    scene: Scene, fields: dict[str, str], headers: dict[str, str]
) -> None:
    before = await contents(scene)
    async with scene.console.operator() as client:
        found = await answers(client, scene, POSTED, fields=fields, headers=headers)

    assert statuses(found) == all_of(POSTED, 403)
    assert await contents(scene) == before


async def test_every_page_confines_what_a_browser_does_with_it(scene: Scene) -> None:
    async with scene.console.operator() as client, scene.console.client() as nobody:
        found = await answers(client, scene, SHOWN)
        found["unknown"] = await client.get(scene.console.path("/webhooks/unknown"))
        found["sign-in"] = await nobody.get("/console/sign-in")
        found["enter"] = await nobody.get("/console/enter")

    for name, each in found.items():
        if not each.headers.get("Content-Type", "").startswith("text/html"):
            continue
        policy = each.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, name
        assert "frame-ancestors 'none'" in policy, name
        assert "unsafe" not in policy, name
        assert each.headers["X-Content-Type-Options"] == "nosniff", name
        assert each.headers["X-Frame-Options"] == "DENY", name
        assert each.headers["Cache-Control"] == "no-store", name
        assert "access-control-allow-origin" not in {key.lower() for key in each.headers}, name


async def test_every_page_is_shown_and_nothing_hostile_in_it_is_markup(scene: Scene) -> None:
    async with scene.console.operator() as client:
        found = await answers(client, scene, SHOWN)

    assert {name: status for name, status in statuses(found).items() if status >= 400} == {}
    for name, each in found.items():
        assert "<script>alert" not in each.text, name
        assert "<img src=x" not in each.text, name
        assert not {"\u202e", "\x07"} & set(each.text), name
        assert "Markup(" not in each.text, name  # a value of the program's, printed as such
    assert HOSTILE[:4] not in found["GET /webhooks"].text


async def test_a_page_answers_to_head_as_to_get_and_to_nothing_else(scene: Scene) -> None:
    path = scene.console.path("/webhooks")
    async with scene.console.operator() as client:
        head = await client.call("HEAD", path)
        others = [(await client.call(each, path)).status for each in ("PUT", "DELETE", "OPTIONS")]

    assert (head.status, head.text) == (200, "")
    assert others == [405, 405, 405]


async def test_a_host_that_is_not_allowed_is_refused(console: Console) -> None:
    async with console.operator() as client:
        found = await client.call(
            "GET", console.path("/webhooks"), headers={"Host": "evil.example"}
        )

    assert found.status in {400, 403, 421}
    assert "Webhooks</h1>" not in found.text
