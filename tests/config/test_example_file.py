"""config.example.toml lists every key with its default."""

import re
import tomllib

from daemon.config import Config, load
from daemon.config.config import fields_by_key
from daemon.runtime.package_data import package_file
from tests.generated.configuration import descriptions_by_key


def test_the_example_file_loads_to_exactly_the_defaults() -> None:
    config = load(package_file("config.example.toml"), environ={})

    assert config.model_dump() == Config().model_dump()


def test_the_example_file_lists_every_key_and_no_other() -> None:
    text = package_file("config.example.toml").read_text()
    without_default = re.compile(
        r"^# (?=(?:url|direct_url|name|proxy|master_keys|smtp_url|from|console_url|public_url"
        r"|otlp_endpoint) = )",
        re.MULTILINE,
    )

    tables = tomllib.loads(without_default.sub("", text))

    listed = {f"{section}.{key}" for section, table in tables.items() for key in table}
    assert listed == fields_by_key().keys()


def test_every_key_has_a_description() -> None:
    undocumented = fields_by_key().keys() - descriptions_by_key().keys()

    assert undocumented == set()
