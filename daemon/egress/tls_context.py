"""
TLS settings towards receivers: trusted authorities, versions, ciphers, client certificates.

A client's key reaches OpenSSL through memory alone; it is never written to a disk.
"""

import os
import ssl
from collections.abc import Callable
from functools import lru_cache

from daemon.core.model.secrets import ClientCertificate

CONTEXTS_KEPT = 1024


class UnusableCertificateError(Exception):
    """The webhook's client certificate or key cannot be used; `str()` is for the customer."""


class TlsContexts:
    """One context without a client certificate, and one for each certificate in use."""

    def __init__(self, make_context: Callable[[], ssl.SSLContext]) -> None:
        self._make_context = make_context
        self._without_client = make_context()
        self._with_client = lru_cache(CONTEXTS_KEPT)(self._make_context_with)

    def context_for(self, client: ClientCertificate | None) -> ssl.SSLContext:
        """Raises UnusableCertificateError."""
        return self._without_client if client is None else self._with_client(client)

    def _make_context_with(self, client: ClientCertificate) -> ssl.SSLContext:
        context = self._make_context()
        load_client(context, client)
        return context


def verifying_context() -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that checks names against the system's authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # No finite-field Diffie-Hellman (DHE): the receiver chooses the size of its numbers, and
    # 10,000 bits take a second.
    context.set_ciphers("@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!SHA1")
    return context


def load_client(context: ssl.SSLContext, client: ClientCertificate) -> None:
    """
    Let `context` present the client certificate.

    Raises UnusableCertificateError, for a key with a pass phrase too.
    """
    memory = os.memfd_create("client-certificate")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(f"{client.certificate}\n{client.key}\n".encode())
        # Without a pass phrase given here, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{memory}", password=lambda: b"")
    except (ssl.SSLError, ValueError, OSError) as error:
        raise UnusableCertificateError(
            f"the webhook's client certificate cannot be used: {_reason(error)}"
        ) from None
    finally:
        os.close(memory)


def _reason(error: Exception) -> str:
    reason: str | None = getattr(error, "reason", None)
    if reason is None:
        return "it must be a certificate in PEM with its own private key"
    return reason.replace("_", " ").lower()
