"""A webhook's settings: judged, merged, and made ready to be stored."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import orjson
from pydantic import BaseModel

from daemon.admin import schemas
from daemon.admin.api.problems import Mistake, Problem
from daemon.core.model.secrets import ClientCertificate, StoredSecrets
from daemon.core.model.webhooks import WebhookSettings
from daemon.core.policy.headers import judge_headers
from daemon.core.policy.refusal import Refusal
from daemon.egress.tls_context import UnusableCertificateError, load_client, verifying_context

SECRETS = {"custom_headers", "client_certificate"}


def _changed(settings: WebhookSettings, changes: dict[str, Any]) -> WebhookSettings:
    members = {
        name: value
        for name, value in changes.items()
        if name in WebhookSettings.__dataclass_fields__
    }
    if "event_types" in members:
        members["event_types"] = _tuple(members["event_types"])
    if "event_filters" in members:
        members["event_filters"] = _filters(members["event_filters"])
    return replace(settings, **members)


def _with_certificate(
    stored: StoredSecrets, taken: schemas.ClientCertificateTaken | None
) -> StoredSecrets:
    """Raises Problem for one that cannot be used."""
    if taken is None:
        return replace(stored, client_certificate=None, client_key=None)
    try:
        load_client(verifying_context(), ClientCertificate(taken.certificate, taken.key))
    except UnusableCertificateError as error:
        raise _at_fault("clientCertificate", str(error)) from None
    return replace(stored, client_certificate=taken.certificate, client_key=taken.key)


def _judged(headers: dict[str, str] | None) -> str | None:
    """As JSON text. Raises Problem for headers that cannot be sent."""
    if not headers:
        return None
    judged = judge_headers(headers)
    if isinstance(judged, Refusal):
        raise _at_fault("customHeaders", judged.reason)
    return orjson.dumps(dict(judged)).decode()


def _at_fault(member: str, reason: str) -> Problem:
    return Problem(422, f"{member}: {reason}", mistakes=[Mistake(f"#/{member}", reason)])


def _tuple(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _filters(filters: schemas.EventFilters | None) -> str | None:
    """As JSON text; a member that is null filters nothing, as one that is left out."""
    if filters is None:
        return None
    members = filters.model_dump(mode="json", exclude_unset=True)
    # Not orjson's: PostgreSQL keeps integers of any length, and so does this.
    filtering = {name: value for name, value in members.items() if value is not None}
    return json.dumps(filtering, ensure_ascii=False)  # as long as PostgreSQL prints it


def given(body: BaseModel) -> dict[str, Any]:
    """The members of a body that the caller wrote, null among them."""
    return {name: getattr(cast("Any", body), name) for name in body.model_fields_set}
