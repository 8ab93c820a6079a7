"""Run `webhookd` with an injected fault: signing raises, with secrets in every frame above it."""

from typing import Any

from daemon.cli import main
from daemon.core.wire import signing

request_headers = signing.request_headers


def failing_request_headers(**parts: Any) -> Any:
    """Raise ValueError for events of the type `fault`."""
    if parts["event_type"] == "fault":
        local_secrets = dict(parts)
        raise ValueError(f"cannot sign {len(local_secrets)} parts")
    return request_headers(**parts)


if __name__ == "__main__":
    signing.request_headers = failing_request_headers
    main()
