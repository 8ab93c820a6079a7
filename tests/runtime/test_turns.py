"""Things of which there are a few are lent to owners, a few to each."""

import asyncio
from collections.abc import Hashable

from daemon.runtime.turns import MOST_OF_ONE, Turns


class Lent:
    """Who has one, in the order in which they got it; the clock is advanced by hand."""

    def __init__(self, size: int) -> None:
        self.now = 100.0
        self.turns = Turns(size, clock=lambda: self.now)
        self.owners: list[Hashable | None] = []

    async def ask(self, *owners: Hashable | None) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._begin(owner)) for owner in owners]
        await settle()
        return tasks

    async def give_back(self, owner: Hashable | None) -> None:
        self.turns.end(owner)
        await settle()

    async def _begin(self, owner: Hashable | None) -> None:
        await self.turns.begin(owner)
        self.owners.append(owner)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_owner_has_a_few_and_others_find_some() -> None:
    lent = Lent(4)

    await lent.ask("a", "a", "a", "b", "b", "c")

    assert lent.owners == ["a"] * MOST_OF_ONE + ["b", "c"]


async def test_the_last_one_is_for_an_owner_without_any() -> None:
    lent = Lent(4)

    waiting = await lent.ask("a", "a", "b", "b")
    before = list(lent.owners)
    await lent.give_back("a")

    assert before == ["a", "a", "b"]
    assert lent.owners == ["a", "a", "b", "b"]
    assert all(each.done() for each in waiting)


async def test_owners_have_those_that_become_free_in_turn() -> None:
    lent = Lent(1)

    await lent.ask("a", "a", "a", "b", "c")
    for owner in ("a", "a", "b", "c"):
        await lent.give_back(owner)

    assert lent.owners == ["a", "a", "b", "c", "a"]


async def test_one_who_used_little_comes_before_many_who_used_much() -> None:
    lent = Lent(1)
    await lent.ask("a", "b", "c")
    for owner in ("a", "b", "c"):
        lent.now += 1.0
        await lent.give_back(owner)

    await lent.ask("d", "a", "b", "c", "e")
    await lent.give_back("d")

    assert lent.owners == ["a", "b", "c", "d", "e"]


async def test_work_of_the_daemon_has_no_limit_of_its_own() -> None:
    lent = Lent(4)

    await lent.ask(None, None, None, None, None)
    before = len(lent.owners)
    await lent.give_back(None)

    assert (before, len(lent.owners)) == (4, 5)


async def test_a_wait_that_is_cancelled_keeps_none() -> None:
    lent = Lent(1)
    [_, waiting, granted] = await lent.ask("a", "b", "c")

    waiting.cancel()
    await settle()
    lent.turns.end("a")
    granted.cancel()
    await settle()
    await lent.ask("d")

    assert lent.owners[-1] == "d"


async def test_one_who_used_much_before_many_began_waits_for_few_of_their_turns() -> None:
    lent = Lent(1)
    await lent.ask("before")
    lent.now += 60.0
    await lent.give_back("before")
    others = [f"other{number}" for number in range(20)]

    await lent.ask(*others * 3, "before")
    while lent.owners.count("before") < 2:
        lent.now += 0.1
        await lent.give_back(lent.owners[-1])

    assert len(lent.owners) <= 1 + 2 * len(others) + 1
