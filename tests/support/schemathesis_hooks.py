"""
What no schema can tell who tries the API out: a URL that answers, a real certificate, a tenant that
there is, and times of which one comes before the other.
"""

import os
import re
from typing import Any
from uuid import UUID

import schemathesis
from pydantic import TypeAdapter, ValidationError

from daemon.admin.schemas.fields import COMMON_URL, MAX_PEM_LENGTH
from daemon.admin.schemas.timestamps import Timestamp

URL = os.environ["WEBHOOKD_TEST_RECEIVER"]
CERTIFICATE = os.environ["WEBHOOKD_TEST_CERTIFICATE"]
KEY = os.environ["WEBHOOKD_TEST_KEY"]
TENANT = os.environ["WEBHOOKD_TEST_TENANT"]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Put the real thing in the place of what only looks like it; what is wrong stays wrong."""
    body = case.body
    if not isinstance(body, dict):
        return
    # A copy: the object itself is what other cases are made of.
    body = case.body = dict(body)
    if isinstance(url := body.get("endpointUrl"), str) and re.fullmatch(COMMON_URL, url):
        body["endpointUrl"] = URL
    certificate = body.get("clientCertificate")
    if (
        isinstance(certificate, dict)
        and set(certificate) == {"certificate", "key"}
        and all(map(_is_text, certificate.values()))
    ):
        body["clientCertificate"] = {"certificate": CERTIFICATE, "key": KEY}
    if _is_uuid(body.get("tenantId")):
        body["tenantId"] = TENANT
    for name, moment in (("from", "2020-01-01T00:00:00Z"), ("to", "2021-01-01T00:00:00Z")):
        if _is_moment(body.get(name)):
            body[name] = moment


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and UUID(value) is not None
    except ValueError:
        return False


def _is_moment(value: object) -> bool:
    try:
        return TypeAdapter(Timestamp).validate_python(value) is not None
    except ValidationError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value and len(value) <= MAX_PEM_LENGTH
