"""Exceptions of a request, turned into failures that a customer understands."""

import errno
import os
import ssl

from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Failure, FailureKind
from daemon.core.policy.urls import Target
from daemon.egress.http1 import ExchangeError
from daemon.egress.pool import RefusedTargetError, UnreachableError
from daemon.egress.resolver import LookupFailedError
from daemon.egress.tls_context import UnusableCertificateError
from daemon.egress.tls_transport import CostlyHandshakeError

# What says that this machine is short of something: our own fault, and charged to nobody.
OUR_OWN_SHORTAGE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


OPENING_FAILED = (
    RefusedTargetError,
    UnusableCertificateError,
    LookupFailedError,
    UnreachableError,
    OSError,
)


def _failure_of(error: ExchangeError) -> Failure:
    return Failure(FailureKind.PROTOCOL if error.broken else FailureKind.DISCONNECTED, str(error))


def _failure_to_open(error: Exception, target: Target) -> Failure:
    """What the customer is told. Raises PostponedError for a shortage of our own."""
    match error:
        case RefusedTargetError():
            return Failure(FailureKind.REFUSED_TARGET, str(error))
        case UnusableCertificateError():
            return Failure(FailureKind.UNUSABLE, str(error))
        case LookupFailedError():
            return Failure(
                FailureKind.LOOKUP, f"the name {target.host} could not be looked up: {error}"
            )
        case UnreachableError():
            return Failure(FailureKind.CONNECT, f"could not connect: {error}")
        case ssl.SSLCertVerificationError():
            return Failure(
                FailureKind.TLS, f"the TLS certificate is not valid: {error.verify_message}"
            )
        case ssl.SSLError():
            reason = (error.reason or "no reason given").replace("_", " ").lower()
            return Failure(FailureKind.TLS, f"the TLS handshake failed: {reason}")
        case OSError() if error.errno in OUR_OWN_SHORTAGE:
            raise PostponedError(f"this machine is short: {_reason(error)}") from error
        case CostlyHandshakeError():
            return Failure(FailureKind.TLS, f"the TLS handshake failed: {error}")
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError() if target.tls:
            return Failure(FailureKind.TLS, "the connection was closed during the TLS handshake")
        case _:
            return Failure(FailureKind.CONNECT, f"could not connect: {_reason(error)}")


def _reason(error: Exception) -> str:
    """The network's reason without the addresses that exception texts are full of."""
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else "every address failed"
