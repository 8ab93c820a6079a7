"""The table of metrics says what a live daemon serves, no more and no less."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.daemons import metrics_of
from tests.support.everything import serving_everything

GUIDE = Path(__file__).parents[2] / "docs" / "metrics.md"
# Their values are not listed: they are many, or change from one machine to the next.
PROCESS = ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"]
FREE = {"le", "loop", "version", "python"}


async def test_every_metric_is_in_the_table_as_a_daemon_serves_it(database: str) -> None:
    async with serving_everything(database) as service:
        page = await metrics_of(service)

    served = {row(each) for each in families(page)}
    documented = re.findall(r"^\| `webhookd_.*$", GUIDE.read_text(), re.MULTILINE)
    assert len(documented) > 50
    assert sorted(served.symmetric_difference(documented)) == []


@pytest.mark.parametrize("name", PROCESS)
async def test_metrics_of_the_process_are_named(name: str) -> None:
    assert f"`{name}`" in GUIDE.read_text()


def families(page: str) -> Iterator[Metric]:
    for family in text_string_to_metric_families(page):
        if family.name.startswith("webhookd_"):
            yield family


def row(family: Metric) -> str:
    name = family.name + ("_total" if family.type == "counter" else "")
    return f"| `{name}` | {family.type} | {labels(family)} | {family.documentation} |"


def labels(family: Metric) -> str:
    values: dict[str, list[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if value not in values.setdefault(label, []):
                values[label].append(value)
    shown = [
        f"`{label}`" + ("" if label in FREE else f": {', '.join(values[label])}")
        for label in values
        if label != "le"
    ]
    return "; ".join(shown)
