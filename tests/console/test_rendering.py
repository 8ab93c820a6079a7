"""Pages with much of a customer's text: what is marked, and that others are served meanwhile."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import orjson
import pytest

from daemon.admin.console import rendering
from daemon.admin.console.json_text import MOST_TOKENS
from tests.support.console import Console
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

WIDE = orjson.dumps({f"{number:x}": {"b": 1} for number in range(4_600)}).decode()
# Some of those of a whole page, of each of two texts.
MOST_TAGS = 2 * 4 * MOST_TOKENS


class Pieces:
    """What templates yielded, and the slices in which they did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lengths: list[int] = []
        self.slices = 0
        self.may_go_on = True
        self._render = rendering._add_for_a_slice
        monkeypatch.setattr(rendering, "_add_for_a_slice", self._add)

    def _add(self, pieces: Iterator[str], rendered: list[str]) -> bool:
        self.slices += 1
        if not self.may_go_on:
            return False
        before = len(rendered)
        is_all = self._render(pieces, rendered)
        self.lengths += [len(each) for each in rendered[before:]]
        return is_all


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> Pieces:
    return Pieces(monkeypatch)


async def delivered(console: Console, receiver: Receiver, reply: Reply) -> tuple[UUID, UUID, str]:
    """A webhook, an event of very many parts that it got, and the path of their page."""
    receiver.answer = lambda _: reply
    webhook = UUID((await console.api.create_webhook(receiver.url))["id"])
    event = await console.app.event(console.tenant, orjson.loads(WIDE))
    await until(lambda: settled(console.app, webhook, "success", 1))
    listed = await console.api.get(f"/api/webhooks/{webhook}/deliveries")
    [delivery] = listed.json["deliveries"]
    return webhook, event, console.path(f"/webhooks/{webhook}?delivery={delivery['id']}")


async def test_a_page_marks_few_of_very_many_parts_and_yields_bounded_pieces(
    console: Console, receiver: Receiver, pieces: Pieces
) -> None:
    body = "[" + "[]," * 5_400 + "0]"
    headers = {f"X-{number}": "x" * 20 for number in range(60)}
    _, event, path = await delivered(console, receiver, Reply(headers=headers, body=body.encode()))
    async with console.portal(scope="read") as reader:
        pieces.lengths.clear()
        inspector = await reader.get(path)
        page = await reader.get(console.path(f"/events/{event}"))
        data = await reader.get(console.path(f"/events/{event}/data"))

    assert (inspector.status, page.status) == (200, 200)
    assert inspector.text.count("Only the beginning is indented and coloured") == 2
    assert page.text.count("Only the beginning is indented and coloured") == 1
    assert inspector.text.count("<i>") + page.text.count("<i>") < MOST_TAGS
    assert max(pieces.lengths) < 64 * MOST_TOKENS
    assert len(pieces.lengths) > len(headers)
    assert orjson.loads(data.text) == orjson.loads(WIDE)


async def test_other_requests_are_answered_while_a_page_renders(
    console: Console, pieces: Pieces
) -> None:
    event = await console.app.event(console.tenant, orjson.loads(WIDE))
    async with console.portal(scope="read") as reader:
        pieces.may_go_on, pieces.slices = False, 0
        page = asyncio.create_task(reader.get(console.path(f"/events/{event}")))
        await until(lambda: pieces.slices > 1)

        other = await console.api.get("/api/webhooks")

        assert (other.status, page.done()) == (200, False)
        pieces.may_go_on = True
        assert (await page).status == 200


async def test_a_slice_ends_after_the_piece_that_uses_it_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendering, "SLICE_SECONDS", 0.0)
    rendered: list[str] = []
    pieces = iter(["a", "b"])

    ended = [rendering._add_for_a_slice(pieces, rendered) for _ in range(3)]

    assert (ended, rendered) == ([False, False, True], ["a", "b"])
