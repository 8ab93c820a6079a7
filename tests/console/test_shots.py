"""The command that makes screenshots: a file for every state of a page, width and scheme."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from daemon.admin.console.page import Page
from tests.console.shots import State
from tests.support.browser import find_chromium


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_page_is_shown_full_empty_and_at_both_widths_light_and_dark(tmp_path: Path) -> None:
    if find_chromium() is None:
        pytest.skip("no Chromium on PATH: on Debian, apt-get install chromium")

    command = [sys.executable, "-m", "tests.console.shots", f"{tmp_path}/shots", "--page=types"]
    subprocess.run(command, check=True, timeout=280)

    expected = {
        f"event-types-{state}-{width}-{scheme}.png"
        for state in ("full", "empty")
        for width in (360, 1280)
        for scheme in ("light", "dark")
    }
    files = list((tmp_path / "shots").iterdir())
    assert {file.name for file in files} == expected
    assert {file.read_bytes()[:4] for file in files} == {b"\x89PNG"}
    assert (
        len({file.read_bytes() for file in files}) >= len(expected) // 2
    )  # the catalogue is the same


def test_pages_about_objects_have_a_failing_state_and_others_an_empty_one() -> None:
    objects = {"webhooks": "1"}
    about, listed = Page("GET /webhooks/{id}"), Page("GET /webhooks")
    full, failing, empty = (
        State(name, uuid4(), given)
        for name, given in (("full", objects), ("failing", objects), ("empty", {}))
    )

    assert [each.shows(about) for each in (full, failing, empty)] == [True, True, False]
    assert [each.shows(listed) for each in (full, failing, empty)] == [True, False, True]
    assert full.shows(Page("GET /a", operators=True))
    assert not full.shows(Page("GET /a", anyone=True))
