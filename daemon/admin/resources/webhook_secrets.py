"""The secrets of a webhook: taken from a request, checked, merged and sealed."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson

from daemon.admin import schemas
from daemon.admin.api.problems import invalid_member
from daemon.admin.resources.origin_change import headers_missing
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import ClientCertificate, StoredSecrets
from daemon.core.policy.headers import judge_headers
from daemon.core.policy.refusal import Refusal
from daemon.egress.client_certificate import UnusableCertificateError
from daemon.egress.tls_context import usable_client
from daemon.runtime.offload import Offload
from daemon.secrets.bound_values import headers_of_another_origin, open_header
from daemon.secrets.custom_headers import parse_custom_headers
from daemon.secrets.encryption import Vault
from daemon.secrets.sealing import seal_secrets

SECRET_MEMBERS = {"custom_headers", "client_certificate"}


async def usable_certificate(
    given: schemas.ClientCertificate | None, offload: Offload, *, tenant_id: TenantId
) -> ClientCertificate | None:
    """
    The given certificate and key as they are stored: what else their texts hold is left out.

    Raises Problem (422) for a certificate that cannot be used.
    """
    if given is None:
        return None
    client = ClientCertificate(given.certificate, given.key)
    try:
        return await offload.run_in_thread(lambda: usable_client(client), owner=tenant_id)
    except UnusableCertificateError as error:
        raise invalid_member("clientCertificate", str(error)) from None


def new_secrets(
    body: schemas.CreateWebhookRequest,
    signing_secret: str,
    vault: Vault,
    *,
    client: ClientCertificate | None,
) -> StoredSecrets:
    """
    The sealed secrets of a new webhook, bound to an id that is made here.

    Raises Problem (422) for headers that cannot be sent.
    """
    secrets = StoredSecrets(
        WebhookId(uuid4()),
        signing_secret,
        custom_headers=_headers_text(body.custom_headers),
        endpoint_url=body.endpoint_url,
    )
    return seal_secrets(_with_certificate(secrets, client), vault).secrets


def changed_secrets(stored: StoredSecrets, changes: dict[str, Any], vault: Vault) -> StoredSecrets:
    """
    Stored secrets with the given members merged, sealed under the newest key.

    A certificate is a `usable_certificate`. They are bound to the origin of the given URL, else of
    the stored one. Raises Problem (422) for headers that cannot be sent, and UnreadableSecretError
    when a stored secret cannot be opened. A certificate that was set for another origin stays, and
    is not sent.
    """
    stored = replace(stored, endpoint_url=changes.get("endpoint_url", stored.endpoint_url))
    if "custom_headers" in changes:
        headers = _merged_headers(stored, changes["custom_headers"], vault)
        stored = replace(stored, custom_headers=_headers_text(headers))
    if "client_certificate" in changes:
        stored = _with_certificate(stored, changes["client_certificate"])
    sealed = seal_secrets(stored, vault)
    if sealed.failures:
        raise sealed.failures[0]
    return sealed.secrets


def _merged_headers(
    stored: StoredSecrets, changes: dict[str, str | None] | None, vault: Vault
) -> dict[str, str] | None:
    """
    JSON Merge Patch (RFC 7396), with names compared case-insensitively.

    Raises Problem (422) for kept headers that were set for another origin.
    """
    if changes is None:
        return None
    changed_names = {name.lower() for name in changes}
    headers = parse_custom_headers(stored.custom_headers or "{}") or {}
    kept = {name: headers[name] for name in headers if name.lower() not in changed_names}
    stored = replace(stored, custom_headers=orjson.dumps(kept).decode())
    if mismatched := headers_of_another_origin(stored, vault):
        raise headers_missing(mismatched)
    opened = {
        name: str(open_header(stored, vault, name=name, value=value))
        for name, value in kept.items()
    }
    return opened | {name: value for name, value in changes.items() if value is not None}


def _headers_text(headers: dict[str, str] | None) -> str | None:
    """JSON text, not sealed yet. Raises Problem (422) for headers that cannot be sent."""
    if not headers:
        return None
    judged = judge_headers(headers)
    if isinstance(judged, Refusal):
        raise invalid_member("customHeaders", judged.reason)
    return orjson.dumps(dict(judged)).decode()


def _with_certificate(stored: StoredSecrets, client: ClientCertificate | None) -> StoredSecrets:
    if client is None:
        return replace(stored, client_certificate=None, client_key=None)
    return replace(stored, client_certificate=client.certificate, client_key=client.key)
