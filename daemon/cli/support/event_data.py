"""The data of an event to publish: sample data of its type, or JSON that the user gives."""

import json
import sys
from pathlib import Path

from daemon.core import event_types
from daemon.core.errors import UsageError

LONGEST_TYPE = 100


def event_data(event_type: str, given: str | None) -> str:
    """
    Return the data as JSON text.

    `given` is JSON, `@FILE`, or `-` for stdin; None takes sample data. Raises UsageError.
    """
    if not event_type or len(event_type) > LONGEST_TYPE or "\0" in event_type:
        raise UsageError(f"TYPE: an event type has 1 to {LONGEST_TYPE} characters")
    if given is not None:
        return _valid_json(_read(given))
    try:
        return json.dumps(event_types.sample_data(event_type), ensure_ascii=False)
    except KeyError:
        raise UsageError(_unknown_type(event_type)) from None


def _unknown_type(event_type: str) -> str:
    closest = event_types.closest_event_type(event_type)
    names = ", ".join(each.name for each in event_types.EVENT_TYPES)
    hint = f"did you mean {closest}?" if closest else f"they are {names}."
    quoted = json.dumps(event_type, ensure_ascii=False)
    return f"TYPE: {quoted} is not one of the 13 types; {hint} Another type needs --data"


def _valid_json(text: str) -> str:
    try:
        json.loads(text)
    except RecursionError:
        raise UsageError("--data: the JSON is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"--data: this is not JSON: {error}") from None
    return text


def _read(given: str) -> str:
    """Read the file that `@FILE` names, or stdin for `-`; anything else is the text itself."""
    try:
        if given == "-":
            return sys.stdin.buffer.read().decode()
        if given.startswith("@"):
            return Path(given[1:]).read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError("--data: this is not UTF-8 text") from None
    except OSError as error:
        raise UsageError(f"--data: {given[1:]}: {error.strerror}") from None
    return given
