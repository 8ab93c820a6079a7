"""
The failure, in words for the customer, that an exception of a request stands for.

The messages reveal nothing of our network: no address, and no text of an OSError.
"""

import errno
import os
import ssl

from daemon.core.errors import ShortageError
from daemon.core.model.attempts import Failure, FailureKind
from daemon.core.policy.urls import Target
from daemon.egress.client_certificate import UnusableCertificateError
from daemon.egress.network import NoSuchNetworkError
from daemon.egress.proxy import (
    UNREACHABLE_STATUSES,
    ReceiverUnreachableError,
    TargetForbiddenError,
)
from daemon.egress.resolver import LookupFailedError, NoPublicAddressError
from daemon.egress.response_reader import InvalidResponseError, ResponseError
from daemon.egress.tls_session import RefusedTlsError

# This machine lacks a resource: a fault of our own, which no endpoint's health may suffer for.
RESOURCE_SHORTAGES = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)

# TimeoutError and ssl.SSLError are OSErrors.
REQUEST_ERRORS = (
    TargetForbiddenError,
    UnusableCertificateError,
    LookupFailedError,
    ReceiverUnreachableError,
    RefusedTlsError,
    ResponseError,
    OSError,
)


def failure_of(error: Exception, target: Target, *, timeout_seconds: float) -> Failure:
    """
    Return the failure for one of REQUEST_ERRORS, or for NoSuchNetworkError.

    A TimeoutError means the request's deadline.

    Raises ShortageError when this machine is short of sockets, ports or memory.
    """
    match error:
        case TimeoutError():
            message = f"no complete response within {timeout_seconds:g} s"
            return Failure(FailureKind.TIMEOUT, message)
        case TargetForbiddenError():
            message = "the egress rules of this service forbid this host"
            return Failure(FailureKind.REFUSED_TARGET, message)
        case UnusableCertificateError():
            return Failure(FailureKind.UNUSABLE, str(error))
        case NoPublicAddressError():
            message = f"the host name {target.host} has no public address"
            return Failure(FailureKind.LOOKUP, message)
        case LookupFailedError():
            message = f"the host name {target.host} could not be resolved: {error}"
            return Failure(FailureKind.LOOKUP, message)
        case ReceiverUnreachableError():
            return Failure(FailureKind.CONNECT, _unreachable(error.status))
        case NoSuchNetworkError():
            message = f"could not connect: this service cannot reach {error} addresses"
            return Failure(FailureKind.CONNECT, message)
        case InvalidResponseError():
            return Failure(FailureKind.PROTOCOL, str(error))
        case ResponseError():
            return Failure(FailureKind.DISCONNECTED, str(error))
        case _:
            return _tls_failure(error, target) or _network_failure(error)


def _unreachable(status: int) -> str:
    if status in UNREACHABLE_STATUSES:
        return "could not connect: the receiver cannot be reached"
    return f"could not connect: the egress proxy answered CONNECT with status {status}"


def raise_shortage(error: Exception) -> None:
    """Raise ShortageError if the error says that this machine is short of something."""
    number = getattr(error, "errno", None)
    if number in RESOURCE_SHORTAGES:
        reason = os.strerror(number).lower()
        message = f"this machine has no sockets, ports or memory left: {reason}"
        raise ShortageError(message) from error


def _tls_failure(error: Exception, target: Target) -> Failure | None:
    match error:
        case ssl.SSLCertVerificationError():
            message = f"the TLS certificate is not valid: {error.verify_message}"
        case ssl.SSLError():
            reason = (error.reason or "no reason given").replace("_", " ").lower()
            message = f"the TLS handshake failed: {reason}"
        case RefusedTlsError():
            message = f"the TLS handshake failed: {error}"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError() if target.tls:
            message = "the receiver closed the connection during the TLS handshake"
        case _:
            return None
    return Failure(FailureKind.TLS, message)


def _network_failure(error: Exception) -> Failure:
    """
    Name the reason by its errno: the text of an OSError may contain addresses.

    Raises ShortageError for a shortage of our own.
    """
    raise_shortage(error)
    number = getattr(error, "errno", None)
    reason = os.strerror(number).lower() if number else "every address failed"
    return Failure(FailureKind.CONNECT, f"could not connect: {reason}")
