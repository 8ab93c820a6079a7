"""Control characters and changes of text direction: refused in names, escaped in errors."""

from typing import Any

import asyncpg
import pytest

from daemon.core.unprintable import UNPRINTABLE
from tests.support.api_client import ApiClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "http://127.0.0.1:9/hook"
# One of each kind: C0, DEL, C1, a line separator, and every character with Bidi_Control.
UNSAFE = [
    *("\x07", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"),
    *("\u061c", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e"),
    *("\u2066", "\u2067", "\u2068", "\u2069"),
]
HONEST = [
    "Contacts → CRM (production)",
    "קבלת אנשי קשר 2",
    "مزامنة جهات الاتصال ٣",
    "می‌خواهم",
    "連絡先の同期",
    "👩‍💻 team 🏳️‍🌈 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "Zoë's café: naïve e\u0301",
    'quotes "\\" and <tags> & more',
]


@pytest.mark.parametrize("character", UNSAFE, ids=ascii)
async def test_a_name_with_an_unprintable_character_is_refused(
    shared_api: ApiClient, character: str
) -> None:
    name = f"invoice{character}fdp.exe"
    webhook = await shared_api.create_webhook(URL)
    created = await shared_api.post("/api/webhooks", {"name": name, "endpointUrl": URL})
    changed = await shared_api.patch(f"/api/webhooks/{webhook['id']}", {"name": name})

    for answer in (created, changed):
        assert (answer.status, answer.pointers) == (422, ["#/name"])
        assert f"U+{ord(character):04X}" in answer.error
        assert not UNPRINTABLE.search(answer.text)


@pytest.mark.parametrize("name", HONEST)
async def test_names_in_any_script_pass_unchanged(shared_api: ApiClient, name: str) -> None:
    created = await shared_api.create_webhook(URL, name=name, description=f"{name}\r\n\t{name}")
    found = await shared_api.get(f"/api/webhooks/{created['id']}")

    assert (found.json["name"], found.json["description"]) == (name, f"{name}\r\n\t{name}")


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\u202e", "\u2066"], ids=ascii)
async def test_a_description_may_have_lines_but_no_control_of_the_terminal_or_the_direction(
    shared_api: ApiClient, character: str
) -> None:
    body = {"name": "x", "endpointUrl": URL, "description": f"one\ntwo{character}"}

    answer = await shared_api.post("/api/webhooks", body)

    assert (answer.status, answer.pointers) == (422, ["#/description"])


async def test_errors_quote_the_client_s_own_text_without_unprintable_characters(
    shared_api: ApiClient,
) -> None:
    body: dict[str, Any] = {"name": "x", "endpointUrl": URL, "evil\u202e\x9bname": 1}
    member = await shared_api.post("/api/webhooks", body)
    parameter = await shared_api.get("/api/webhooks", **{"evil\u202e\x9bname": 1})

    assert member.pointers == ["#/evil%E2%80%AE%C2%9Bname"]
    assert parameter.json["errors"][0]["parameter"] == "evil\\u202e\\x9bname"
    for answer in (member, parameter):
        assert answer.status == 422
        assert "evil\\u202e\\x9bname" in answer.error
        assert not UNPRINTABLE.search(answer.text)


async def test_what_the_application_wrote_is_quoted_without_unprintable_characters(
    shared_api: ApiClient, shared_database: str
) -> None:
    created = await shared_api.create_webhook(URL)
    connection = await asyncpg.connect(shared_database)
    await connection.execute(
        "UPDATE webhooks SET event_types = $2, filter_error = $3 WHERE id = $1",
        created["id"],
        ["email.open\u202eed"],
        "filters: contact\u202e has no values",
    )
    await connection.close()
    found = (await shared_api.get(f"/api/webhooks/{created['id']}")).json

    sentences = [found["filterError"], *found["warnings"]]
    assert "contact\\u202e" in sentences[0]
    assert "email.open\\u202eed" in sentences[1]
    assert not UNPRINTABLE.search("".join(sentences))


@pytest.mark.parametrize(
    "name", [" ", "\u00a0", "\u3000 \u2003", "\u200b\u2800", "\u3164", "\u0301" * 9], ids=ascii
)
async def test_a_blank_name_is_refused(shared_api: ApiClient, name: str) -> None:
    webhook = await shared_api.create_webhook(URL, name=" a name ")
    answers = [
        await shared_api.post("/api/webhooks", {"name": name, "endpointUrl": URL}),
        await shared_api.patch(f"/api/webhooks/{webhook['id']}", {"name": name}),
    ]

    assert webhook["name"] == " a name "
    for answer in answers:
        assert (answer.status, answer.pointers) == (422, ["#/name"])
        assert "must not be blank" in answer.error


async def test_names_that_the_application_wrote_are_shown_escaped(
    shared_api: ApiClient, shared_database: str
) -> None:
    webhook = await shared_api.create_webhook(URL)
    connection = await asyncpg.connect(shared_database)
    await connection.execute(
        "UPDATE webhooks SET name = $2, description = $3 WHERE id::text = $1",
        *(webhook["id"], "a\u202e\x1b[31mb", "one\n\ttwo\x9b\u2066"),
    )
    await connection.close()

    single = (await shared_api.get(f"/api/webhooks/{webhook['id']}")).json
    listed = (await shared_api.get("/api/webhooks", limit=200)).json["webhooks"]

    for shown in (single, next(each for each in listed if each["id"] == webhook["id"])):
        assert shown["name"] == "a\\u202e\\x1b[31mb"
        assert shown["description"] == "one\n\ttwo\\x9b\\u2066"
