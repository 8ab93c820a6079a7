"""`webhookd` with a fault of its own: signing breaks down, with secrets in every frame above it."""

from typing import Any

from daemon.cli import main
from daemon.core.wire import signing

whole = signing.request_headers


def breaking(**parts: Any) -> Any:
    if parts["event_type"] == "fault":
        secrets_at_hand = dict(parts)
        raise KeyError(sorted(secrets_at_hand).index("nothing that is there"))
    return whole(**parts)


if __name__ == "__main__":
    signing.request_headers = breaking
    main()
