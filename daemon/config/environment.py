"""Read environment variables: `WEBHOOKD_SECTION__KEY` for each setting, and `DATABASE_URL`."""

from collections.abc import Mapping

from daemon.config.config import fields_by_key
from daemon.config.draft import Draft
from daemon.config.error_messages import quoted_name, suggestion
from daemon.config.setting_source import Origin
from daemon.config.toml_file import CONFIG_VARIABLE

PREFIX = "WEBHOOKD_"
TEST_PREFIX = "WEBHOOKD_TEST_"  # read by the test suite, not by the daemon

KEYS_BY_VARIABLE = {PREFIX + key.upper().replace(".", "__"): key for key in fields_by_key()}


def read_database_url(draft: Draft, environ: Mapping[str, str]) -> None:
    """Read `DATABASE_URL`, which sets `database.url`."""
    if url := environ.get("DATABASE_URL", "").strip():
        draft.set_text("database.url", url, Origin("DATABASE_URL"))


def read_variables(draft: Draft, environ: Mapping[str, str]) -> None:
    """Read every `WEBHOOKD_…` variable; one that names no setting is a mistake."""
    for name, value in sorted(environ.items()):
        if not name.upper().startswith(PREFIX) or name.startswith(TEST_PREFIX):
            continue
        if name == CONFIG_VARIABLE:
            continue
        key = KEYS_BY_VARIABLE.get(name)
        if key is None:
            hint = suggestion(name, [*KEYS_BY_VARIABLE, CONFIG_VARIABLE])
            draft.add_mistake(Origin(quoted_name(name)), f"unknown variable{hint}")
        elif text := value.strip():
            draft.set_text(key, text, Origin(name))
