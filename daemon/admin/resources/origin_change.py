"""
A webhook's URL moves to another origin: its secret headers and its certificate do not follow.

They cannot be read over the API, so they must not be sent to a receiver of the caller's choice
either: they are given again in the same request, or removed.
"""

from collections.abc import Sequence
from typing import Any

from daemon.admin.api.problems import FieldError, Problem
from daemon.core.model.secrets import StoredSecrets
from daemon.core.policy.headers import LONGEST_NAME, MOST_HEADERS, TOKEN
from daemon.core.policy.origins import is_same_origin
from daemon.secrets.custom_headers import parse_custom_headers

MISSING = "belongs to the former origin: send it again, or null to remove it"


def require_secrets_again(stored: StoredSecrets, changes: dict[str, Any]) -> None:
    """
    Check an update whose URL has another origin than the stored one.

    All custom headers count as secret, because none of their values is ever shown. Raises Problem
    (422) that names each header, and the certificate, that the request neither gives nor removes.
    """
    url = changes.get("endpoint_url", stored.endpoint_url)
    if url == stored.endpoint_url or is_same_origin(url, stored.endpoint_url):
        return
    headers = _headers_not_given(stored, changes)
    missing = [f"customHeaders ({_listed(headers)})"] if headers else []
    places = _places(headers)
    if stored.client_certificate is not None and "client_certificate" not in changes:
        missing.append("clientCertificate")
        places.append("#/clientCertificate")
    if missing:
        raise Problem(
            422,
            f"endpointUrl: it moves to another origin: send {' and '.join(missing)} again in the"
            " same request, or null to remove them",
            field_errors=[FieldError(place, MISSING) for place in places],
        )


def headers_missing(names: Sequence[str]) -> Problem:
    """An update of the custom headers that keeps some which were set for another origin."""
    return Problem(
        422,
        f"customHeaders: send {_listed(names)} again, or null to remove them: what was set for"
        " another origin than the URL's is not kept",
        field_errors=[FieldError(place, MISSING) for place in _places(names)],
    )


def _places(names: Sequence[str]) -> list[str]:
    """JSON pointers (RFC 6901) to these custom headers."""
    escaped = [name.replace("~", "~0").replace("/", "~1") for name in _bounded(names)]
    return [f"#/customHeaders/{name}" for name in escaped]


def _headers_not_given(stored: StoredSecrets, changes: dict[str, Any]) -> list[str]:
    given = changes.get("custom_headers", {})
    if given is None:
        return []
    given_names = {name.lower() for name in given}
    headers = parse_custom_headers(stored.custom_headers or "{}") or {}
    return sorted(name for name in headers if name.lower() not in given_names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name if TOKEN.fullmatch(name) else ascii(name) for name in _bounded(names))


def _bounded(names: Sequence[str]) -> list[str]:
    """The names as far as they can be sent: the application may have written others."""
    return [name[:LONGEST_NAME] for name in names[:MOST_HEADERS]]
