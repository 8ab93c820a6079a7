"""Warnings of a list's webhooks are made once for each subscription."""

import pytest

from daemon.admin.views import kept_warnings
from daemon.admin.views.kept_warnings import LONGEST_KEPT, KeptWarnings


class Maker:
    """Makes the same warnings again and again."""

    def __init__(self, *warnings: str) -> None:
        self.warnings = warnings
        self.calls = 0

    def __call__(self) -> tuple[str, ...]:
        self.calls += 1
        return self.warnings


def test_warnings_are_made_once_for_what_they_are_made_from() -> None:
    kept, one, other = KeptWarnings(), Maker("odd"), Maker()

    found = [kept.get(("a", None), one), kept.get(("a", None), one), kept.get((None, "a"), other)]

    assert found == [("odd",), ("odd",), ()]
    assert (one.calls, other.calls) == (1, 1)


def test_long_warnings_are_made_again() -> None:
    kept, long = KeptWarnings(), Maker("x" * LONGEST_KEPT, "y")

    assert [kept.get("a", long), kept.get("a", long)] == [long.warnings] * 2
    assert long.calls == 2


def test_those_that_were_shown_longest_ago_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_warnings, "MOST_KEPT", 2)
    kept, makers = KeptWarnings(), {each: Maker(each) for each in "abc"}

    for each in "abacab":
        kept.get(each, makers[each])

    assert {each: maker.calls for each, maker in makers.items()} == {"a": 1, "b": 2, "c": 1}
