"""Attacks by the contents of events: exploding numbers, large or nested bodies, costly filters."""

import asyncio
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


async def nested_events(scene: Scene, *, tenants: int = 3, events: int = 10) -> None:
    """Events of 4 MB that are arrays in arrays, and of 8 MB for a filter on data, one a second."""
    urls = scene.endpoints.urls("quick", tenants)
    filters = [None] * (tenants - 1) + ['{"filters": {"campaign_id": "c1"}}']
    owners = [
        await scene.tenant([url], filters=[each]) for url, each in zip(urls, filters, strict=True)
    ]
    await scene.measure_alone()
    async with scene.attack():
        for number in range(events):
            size = 8_000_000 if number % tenants == tenants - 1 else 4_000_000
            await scene.publish(owners[number % tenants], nested_text(size))
            await asyncio.sleep(1.0)


def nested_text(size: int, *, depth: int = 900) -> str:
    """Return JSON of about as many characters: arrays that nest so deep, side by side."""
    one = "[" * depth + "]" * depth
    return '{"a": [' + ", ".join([one] * (size // (len(one) + 2))) + "]}"


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
