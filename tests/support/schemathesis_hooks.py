"""
Hooks that replace generated values by valid ones that no schema can describe.

These are a receiver's URL, a valid certificate, an existing tenant, a configured schedule, a time
range in order, and an idempotency key that no other request has.
"""

import os
import re
from hashlib import sha256
from typing import Any
from uuid import UUID

import schemathesis
from pydantic import TypeAdapter, ValidationError

from daemon.admin.api.openapi import IDEMPOTENCY_KEY_PATTERN
from daemon.admin.schemas.fields import COMMON_URL
from daemon.admin.schemas.timestamps import Timestamp
from daemon.core.policy.delivery_options import SCHEDULE_NAME
from daemon.egress.client_certificate import LONGEST_PEM

URL = os.environ["WEBHOOKD_TEST_RECEIVER"]
CERTIFICATE = os.environ["WEBHOOKD_TEST_CERTIFICATE"]
KEY = os.environ["WEBHOOKD_TEST_KEY"]
TENANT = os.environ["WEBHOOKD_TEST_TENANT"]
SCHEDULE = os.environ["WEBHOOKD_TEST_SCHEDULE"]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Replace well-formed values; malformed ones stay as they are."""
    _replace_in_body(case)
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(IDEMPOTENCY_KEY_PATTERN, key):
        # The key of this request, and of its repetitions.
        asked = f"{case.operation.label} {case.path_parameters} {case.body!r}"
        case.headers["Idempotency-Key"] = sha256(asked.encode(errors="replace")).hexdigest()


def _replace_in_body(case: Any) -> None:
    body = case.body
    if not isinstance(body, dict):
        return
    # A copy, because schemathesis derives other cases from the same object.
    body = case.body = dict(body)
    if isinstance(url := body.get("endpointUrl"), str) and re.fullmatch(COMMON_URL, url):
        body["endpointUrl"] = URL
    if _is_certificate(body.get("clientCertificate")):
        body["clientCertificate"] = {"certificate": CERTIFICATE, "key": KEY}
    if isinstance(name := body.get("retrySchedule"), str) and re.fullmatch(SCHEDULE_NAME, name):
        body["retrySchedule"] = SCHEDULE
    if _is_uuid(body.get("tenantId")):
        body["tenantId"] = TENANT
    for name, timestamp in (("from", "2020-01-01T00:00:00Z"), ("to", "2021-01-01T00:00:00Z")):
        if _is_timestamp(body.get(name)):
            body[name] = timestamp


def _is_certificate(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"certificate", "key"}
        and all(map(_is_text, value.values()))
    )


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and UUID(value) is not None
    except ValueError:
        return False


def _is_timestamp(value: object) -> bool:
    try:
        return TypeAdapter(Timestamp).validate_python(value) is not None
    except ValidationError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value and len(value) <= LONGEST_PEM
