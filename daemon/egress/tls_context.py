"""
TLS settings towards receivers: trusted authorities, versions, ciphers, client certificates.

A client's key reaches OpenSSL through memory alone; it is never written to a disk.
"""

import asyncio
import os
import ssl
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate

# Each takes a megabyte for the authorities.
CONTEXTS_KEPT = 100
THREADS = 2
# A signature holds the event loop: with RSA of 16,384 bits for half a second.
RSA_BITS = range(2048, 4096 + 1)
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class UnusableCertificateError(Exception):
    """The webhook's client certificate or key cannot be used; `str()` is for the customer."""


class TlsContexts:
    """
    One context without a client certificate, and one for each certificate in use.

    Reading the system's authorities takes a twentieth of a second for each context: it is done in
    threads, and for one certificate of a tenant at a time.
    """

    def __init__(self, make_context: Callable[[], ssl.SSLContext]) -> None:
        self._make_context = make_context
        self._without_client = make_context()
        self._with_client: OrderedDict[ClientCertificate, ssl.SSLContext] = OrderedDict()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="tls-context")
        self._locks: WeakValueDictionary[TenantId | None, asyncio.Lock] = WeakValueDictionary()

    async def context_for(
        self, client: ClientCertificate | None, *, tenant_id: TenantId | None
    ) -> ssl.SSLContext:
        """Raises UnusableCertificateError."""
        if client is None:
            return self._without_client
        lock = self._locks.get(tenant_id) or self._locks.setdefault(tenant_id, asyncio.Lock())
        async with lock:
            context = self._with_client.get(client)
            if context is None:
                loop = asyncio.get_running_loop()
                context = await loop.run_in_executor(self._threads, self._make_with, client)
                self._with_client[client] = context
            self._with_client.move_to_end(client)
        if len(self._with_client) > CONTEXTS_KEPT:
            self._with_client.popitem(last=False)
        return context

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _make_with(self, client: ClientCertificate) -> ssl.SSLContext:
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


def check_client(client: ClientCertificate) -> None:
    """Raises UnusableCertificateError when the certificate and its key cannot be presented."""
    load_client(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), client)


def load_client(context: ssl.SSLContext, client: ClientCertificate) -> None:
    """
    Let `context` present the client certificate.

    Raises UnusableCertificateError, for a key with a pass phrase too, and for a key with which a
    signature takes long.
    """
    _judge_key(client)
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


def _judge_key(client: ClientCertificate) -> None:
    try:
        key = x509.load_pem_x509_certificate(client.certificate.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return  # OpenSSL says what is wrong with it
    match key:
        case rsa.RSAPublicKey() if key.key_size in RSA_BITS:
            return
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, CURVES):
            return
        case ed25519.Ed25519PublicKey():
            return
    raise UnusableCertificateError(
        "the webhook's client certificate cannot be used: its key must be RSA of 2048 to 4096 bits,"
        " ECDSA with P-256, P-384 or P-521, or Ed25519"
    )


def _reason(error: Exception) -> str:
    reason: str | None = getattr(error, "reason", None)
    if reason is None:
        return "it must be a certificate in PEM with its own private key"
    return reason.replace("_", " ").lower()
