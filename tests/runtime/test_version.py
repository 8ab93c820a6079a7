"""The program's version, for the command line, metrics and the API's description."""

from importlib.metadata import PackageNotFoundError

import pytest

from daemon.runtime import version


def test_a_checkout_that_was_never_installed_has_an_unknown_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def not_found(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(version, "version", not_found)

    assert version.program_version() == "unknown"
