"""The operator's error messages: plain English, naming the key, on one line, without values."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from daemon.config.config import fields_by_key
from daemon.config.toml_lines import KeyPath


def validation_message(error: Mapping[str, Any]) -> str:
    """Turn one of pydantic's errors into `delivery.timeout: must be …`."""
    key = dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            tables = dict.fromkeys(key.partition(".")[0] for key in fields_by_key())
            return f"{key}: unknown key{suggestion(key, [*fields_by_key(), *tables])}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{key}: must be a table, [{key}]"
        case "tuple_type":
            return f"{key}: must be a list"
        case _:
            message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
            return f"{key}: {message}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` with the closest known name, or one that adds the section."""
    known = list(known)
    close = difflib.get_close_matches(name.lower(), [each.lower() for each in known], n=1)
    found = [each for each in known if each.lower() in close or each.endswith(f".{name}")]
    return f"; did you mean {found[0]}?" if found else ""


def dotted(path: KeyPath) -> str:
    """Write a key path as `egress.allow_ports[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{quoted_name(part)}"
    return text.removeprefix(".")


def quoted_name(name: str) -> str:
    """Quote a name that is not a bare key, so that it cannot break the line."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) else json.dumps(name[:80])
