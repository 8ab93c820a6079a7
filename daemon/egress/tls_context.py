"""
TLS towards receivers: who is believed, and with which certificate a webhook shows who it is.

A client's key is handed to OpenSSL through memory alone; it never lies in a file.
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
    """One context for everybody, and one for each client certificate; `make` makes them."""

    def __init__(self, make: Callable[[], ssl.SSLContext]) -> None:
        self._make = make
        self._usual = make()
        self._with = lru_cache(CONTEXTS_KEPT)(self._context_with)

    def of(self, client: ClientCertificate | None) -> ssl.SSLContext:
        """Raises UnusableCertificateError."""
        return self._usual if client is None else self._with(client)

    def _context_with(self, client: ClientCertificate) -> ssl.SSLContext:
        context = self._make()
        load_client(context, client)
        return context


def verifying_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, the system's authorities, names checked."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # Without Diffie-Hellman over numbers of the receiver's choosing: 10,000 bits take a second.
    context.set_ciphers("@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!SHA1")
    return context


def load_client(context: ssl.SSLContext, client: ClientCertificate) -> None:
    """Raises UnusableCertificateError, for a key that needs a pass phrase too."""
    memory = os.memfd_create("client-certificate")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(f"{client.certificate}\n{client.key}\n".encode())
        # The pass phrase is asked for on the terminal unless somebody says that there is none.
        context.load_cert_chain(f"/proc/self/fd/{memory}", password=lambda: b"")
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = getattr(error, "reason", None) or "it is no certificate with its own key, in PEM"
        words = reason.replace("_", " ").lower()
        raise UnusableCertificateError(
            f"the webhook's client certificate cannot be used: {words}"
        ) from None
    finally:
        os.close(memory)
