"""The JSON text of the column `custom_headers`."""

import orjson


def parse_custom_headers(custom_headers: str) -> dict[str, object] | None:
    """
    Return the members of the JSON object; None if it is not one that can be stored again.

    The values may be of any type: the application writes this column itself.
    """
    try:
        members = orjson.loads(custom_headers)
        orjson.dumps(members)  # fails for nesting too deep to write back
    except (ValueError, TypeError):
        return None
    return members if isinstance(members, dict) else None
