"""Attacks by the contents of events: numbers that explode, large bodies, dear filters."""

import random

import orjson

from tests.faults.attacks.scene import Scene


async def exploding_numbers(scene: Scene, *, events: int = 1000) -> None:
    """Events that are short where they are stored, and a gigabyte where they are printed."""
    tenant = await scene.tenant(scene.endpoints.urls("quick", 1))
    data = '{"a": [' + ",".join(["1e131071"] * 10_000) + "]}"
    await scene.measure_alone()
    async with scene.attack():
        for _ in range(events // 100):
            await scene.publish(tenant, data, count=100)


async def doubles(scene: Scene, *, events: int = 20) -> None:
    """Numbers that any JavaScript program can send, of 300 digits each where they are printed."""
    tenant = await scene.tenant(scene.endpoints.urls("quick", 1))
    data = '{"a": [' + ",".join(["1e308"] * 400_000) + "]}"
    await scene.measure_alone()
    async with scene.attack():
        for _ in range(events):
            await scene.publish(tenant, data)


async def large_bodies(scene: Scene, *, text: str, events: int = 16, webhooks: int = 32) -> None:
    """Large events, each for webhooks that respond only just in time."""
    tenant = await scene.tenant(scene.endpoints.urls("late", webhooks))
    data = f'{{"text": "{text}"}}'
    await scene.measure_alone()
    async with scene.attack():
        for _ in range(events):
            await scene.publish(tenant, data)


def random_text(size: int) -> str:
    """Return text that PostgreSQL cannot compress, the same every time."""
    return random.Random(1).randbytes(size // 2).hex()


async def costly_filters(scene: Scene, *, webhooks: int = 10, events: int = 50) -> None:
    """Filters with 100 paths, all of which hold, but only by the last of 60,000 objects."""
    paths = {f"items.path_{number}": [number, "other"] for number in range(100)}
    wanted = orjson.dumps({"filters": paths}).decode()
    tenant = await scene.tenant(
        scene.endpoints.urls("quick", webhooks), filters=[wanted] * webhooks
    )
    last = {f"path_{number}": number for number in range(100)}
    data = orjson.dumps({"items": [*({"n": 100_000} for _ in range(50_000)), last]}).decode()
    await scene.measure_alone()
    async with scene.attack():
        for _ in range(events):
            await scene.publish(tenant, data)
