"""Read systemd credentials: one file per setting in `$CREDENTIALS_DIRECTORY` (systemd.exec(5))."""

from collections.abc import Mapping
from pathlib import Path

from daemon.config.config import fields_by_key
from daemon.config.draft import Draft
from daemon.config.error_messages import suggestion
from daemon.config.setting_source import Origin

KEYS_BY_FILE_NAME = {key.replace(".", "__"): key for key in fields_by_key()}


def read_credentials(draft: Draft, environ: Mapping[str, str]) -> None:
    """Read the files whose names contain `__`, such as `database__url`; others are not settings."""
    if not (directory := environ.get("CREDENTIALS_DIRECTORY")):
        return
    try:
        files = sorted(path for path in Path(directory).iterdir() if "__" in path.name)
    except OSError as error:
        message = f"CREDENTIALS_DIRECTORY cannot be read: {error.strerror}"
        draft.add_mistake(Origin(directory), message)
        return
    for file in files:
        _read_credential(draft, file)


def _read_credential(draft: Draft, file: Path) -> None:
    origin = Origin(str(file))
    key = KEYS_BY_FILE_NAME.get(file.name)
    if key is None:
        hint = suggestion(file.name, KEYS_BY_FILE_NAME)
        draft.add_mistake(origin, f"unknown credential{hint}")
        return
    try:
        text = file.read_text("utf-8").strip()
    except OSError as error:
        draft.add_mistake(origin, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        draft.add_mistake(origin, "is not UTF-8 text")
    else:
        if text:
            draft.set_text(key, text, origin)
        else:
            draft.add_mistake(origin, f"{key}: the file is empty")
