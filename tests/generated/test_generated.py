"""Generated files are current, and the configuration's reference says what the daemon reads."""

import re

import pytest

from daemon.config.config import NEEDS_RESTART, fields_by_key
from tests.generated.contents import ROOT, generated


@pytest.mark.parametrize("name", generated())
def test_a_generated_file_is_current(name: str) -> None:
    assert (ROOT / name).read_text() == generated()[name], "run `python3 dev.py generate`"


def rows() -> dict[str, list[str]]:
    """The rows of the reference by setting: variable, type, default, change, meaning."""
    page = (ROOT / "docs/configuration.md").read_text()
    lines = re.findall(r"^\| `([a-z_.]+)` \| (.*) \|$", page, re.MULTILINE)
    return {key: re.split(r" (?<!\\)\| ", rest) for key, rest in lines}


def test_the_reference_has_every_setting() -> None:
    assert list(rows()) == list(fields_by_key())
    assert all(len(cells) == 5 and all(cells) for cells in rows().values())


def test_the_reference_says_what_a_reload_takes_over() -> None:
    assert {key for key, cells in rows().items() if cells[3] == "restart"} == NEEDS_RESTART


@pytest.mark.parametrize(
    ("key", "cells"),
    [
        (
            "database.pool_size",
            ["`WEBHOOKD_DATABASE__POOL_SIZE`", "integer, 2 to 200", "`8`"],
        ),
        (
            "delivery.timeout",
            ["`WEBHOOKD_DELIVERY__TIMEOUT`", "duration, 100ms to 30s", '`"5s"`'],
        ),
        (
            "delivery.retry_schedule",
            [
                "`WEBHOOKD_DELIVERY__RETRY_SCHEDULE`",
                "list of: duration, 10ms to 30d, at most 50",
                '`["1m", "5m", "15m", "1h", "1d"]`',
            ],
        ),
        (
            "egress.allow_ports",
            [
                "`WEBHOOKD_EGRESS__ALLOW_PORTS`",
                "list of: port or range of ports",
                '`["443", "8443"]`',
            ],
        ),
        ("egress.allow_http", ["`WEBHOOKD_EGRESS__ALLOW_HTTP`", "true or false", "`false`"]),
        ("notifications.from", ["`WEBHOOKD_NOTIFICATIONS__FROM`", "text", "none"]),
        ("log.format", ["`WEBHOOKD_LOG__FORMAT`", "`auto`, `console`, `json`", '`"auto"`']),
    ],
)
def test_types_bounds_and_defaults_are_shown_as_operators_write_them(
    key: str, cells: list[str]
) -> None:
    assert rows()[key][: len(cells)] == cells
