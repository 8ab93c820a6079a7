"""The TOML file: encodings, syntax errors, missing and unreadable files."""

from pathlib import Path

import pytest

from daemon.config import load
from daemon.core.errors import ConfigError
from tests.config.loading import mistakes


@pytest.mark.parametrize(
    ("toml", "start"),
    [
        ("a = 1\nb = \n", "config.toml:2: is not valid TOML: Invalid value"),
        ("a = 1\n\n[delivery\n", "config.toml:3: is not valid TOML: "),
        ("a = [1,\n2,\n", "config.toml:3: is not valid TOML: "),
        ("a = 1\na = 2", "config.toml:2: is not valid TOML: Cannot overwrite a value"),
        (f"a = {'9' * 5000}", "config.toml:1: is not valid TOML: "),
        (f"a = {'[' * 5000}", "config.toml: is nested too deeply"),
    ],
)
def test_invalid_toml_is_reported_with_its_line(toml: str, start: str) -> None:
    (reported,) = mistakes(toml)

    assert reported.startswith(start)


def test_a_file_that_is_not_utf8_is_reported_with_its_line() -> None:
    Path("config.toml").write_bytes(b"# fine\n# \xff\n")

    with pytest.raises(ConfigError, match=r"^config\.toml:2: is not UTF-8 text$"):
        load(environ={})


def test_a_byte_order_mark_and_dos_line_endings_are_accepted() -> None:
    Path("config.toml").write_bytes(b"\xef\xbb\xbf[admin]\r\nport = 1\r\nhost = 5\r\n")

    with pytest.raises(
        ConfigError, match=r"^config\.toml:3: admin\.host: should be a valid string"
    ):
        load(environ={})


def test_a_missing_file_is_reported_with_the_option_that_named_it() -> None:
    with pytest.raises(ConfigError, match=r"^no\.toml: no such file \(named by --config\)$"):
        load(Path("no.toml"), environ={})
    with pytest.raises(ConfigError, match=r"^no\.toml: .*\(named by WEBHOOKD_CONFIG\)$"):
        load(environ={"WEBHOOKD_CONFIG": "no.toml"})


def test_a_file_that_cannot_be_read_is_one_clear_sentence() -> None:
    Path("config.toml").mkdir()

    with pytest.raises(ConfigError) as caught:
        load(environ={})

    assert caught.value.mistakes == ["config.toml: cannot be read: Is a directory"]
