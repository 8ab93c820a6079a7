"""Run `webhookd` with an injected fault: signing raises, with secrets in every frame above it."""

from typing import Any

from daemon.cli import main
from daemon.core.wire import signing

header_lines = signing.header_lines


def failing_header_lines(**parts: Any) -> Any:
    """Raise ValueError for events of the type `fault`."""
    if parts["event_type"] == "fault":
        local_secrets = dict(parts)
        raise ValueError(f"cannot sign {len(local_secrets)} parts")
    return header_lines(**parts)


if __name__ == "__main__":
    signing.header_lines = failing_header_lines
    main()
