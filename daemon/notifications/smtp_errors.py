"""
SMTP failures in words: one line for people.

The line may repeat the server's words, but nothing that was sent to the server.
"""

import os
import socket
import ssl

import aiosmtplib

from daemon.logs import one_line

# OSError includes TimeoutError; aiosmtplib raises ValueError for a reply that it cannot parse.
SMTP_ERRORS = (aiosmtplib.SMTPException, OSError, ValueError)


def is_permanent(error: aiosmtplib.SMTPResponseException) -> bool:
    """Whether the reply is a permanent failure (RFC 5321, section 4.2.1: 5yz)."""
    return 500 <= error.code < 600


def describe(error: BaseException) -> str:
    """The line for one of SMTP_ERRORS, without the server's name."""
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else None
    match cause or error:
        case aiosmtplib.SMTPResponseException(code=code) if code < 0:
            return "it does not speak SMTP"
        case aiosmtplib.SMTPResponseException(code=code, message=message):
            return one_line(f"{code} {message}")
        case TimeoutError():
            return "no answer in time"
        case aiosmtplib.SMTPServerDisconnected():
            return "it closed the connection"
        case aiosmtplib.SMTPException(message=message):
            return one_line(message)
        case OSError() as network_error:
            return one_line(_describe_network(network_error))
        case _:
            return "its answer cannot be read"


def _describe_network(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError(verify_message=message):
            return f"its certificate cannot be verified: {message}"
        case ssl.SSLError(reason=str(reason)):
            return f"TLS failed: {reason.replace('_', ' ').lower()}"
        case socket.gaierror():
            return "its name cannot be resolved"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()  # event loops' own texts name system calls
        case _:
            return "the connection failed"
