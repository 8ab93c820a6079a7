"""
TLS settings towards receivers: trusted authorities, versions, ciphers, client certificates.

A client's key reaches OpenSSL through memory alone; it is never written to a disk.
"""

import os
import ssl
from collections import OrderedDict
from collections.abc import Callable

from cryptography import x509

from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate
from daemon.egress.client_certificate import UnusableCertificateError, judge_client
from daemon.egress.tls_session import TlsSession
from daemon.runtime.offload import Offload

# Of certificates that were judged; each takes up to 80 KiB.
JUDGED_KEPT = 100


class TlsSessions:
    """
    Begins sessions from one context without a client certificate, and one for each kind of key.

    Reading the system's authorities takes a twentieth of a second and a megabyte for each context,
    so none is made for a certificate. A session keeps the certificate that its context had when it
    began: the next one is loaded over it, in a thread, by tenants in turn. The rule: a context has
    the certificates of one kind of key only. OpenSSL keeps one of each kind, and would present
    another customer's to a receiver that wants another kind.
    """

    def __init__(self, make_context: Callable[[], ssl.SSLContext]) -> None:
        self._make_context = make_context
        self._without_client = make_context()
        self._with_client: dict[x509.ObjectIdentifier, ssl.SSLContext] = {}
        self._judged: OrderedDict[ClientCertificate, ClientCertificate] = OrderedDict()
        self._thread = Offload()

    async def begin(
        self, host: str, client: ClientCertificate | None, *, tenant_id: TenantId | None
    ) -> TlsSession:
        """Raises UnusableCertificateError."""
        if client is None:
            return TlsSession(self._without_client, host)
        return await self._thread.run_in_thread(
            lambda: self._begin_with(client, host), owner=tenant_id
        )

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def _begin_with(self, client: ClientCertificate, host: str) -> TlsSession:
        judged = self._judge(client)
        kind = x509.load_pem_x509_certificate(judged.certificate.encode()).public_key_algorithm_oid
        if kind not in self._with_client:
            self._with_client[kind] = self._make_context()
        context = self._with_client[kind]
        _load(context, judged)
        return TlsSession(context, host)

    def _judge(self, client: ClientCertificate) -> ClientCertificate:
        judged = self._judged.pop(client, None) or judge_client(client)
        self._judged[client] = judged
        if len(self._judged) > JUDGED_KEPT:
            self._judged.popitem(last=False)
        return judged


def verifying_context() -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that checks names against the system's authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # No finite-field Diffie-Hellman (DHE): the receiver chooses the size of its numbers, and
    # 10,000 bits take a second.
    context.set_ciphers("@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!SHA1")
    return context


def usable_client(client: ClientCertificate) -> ClientCertificate:
    """
    Return the certificate and its key as they are presented, without what else their texts hold.

    Takes milliseconds. Raises UnusableCertificateError when they cannot be presented.
    """
    judged = judge_client(client)
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), judged)
    return judged


def load_client(context: ssl.SSLContext, client: ClientCertificate) -> None:
    """
    Let `context` present the client certificate.

    Raises UnusableCertificateError, for a key with a pass phrase too, and for a key with which a
    signature takes long.
    """
    _load(context, judge_client(client))


def _load(context: ssl.SSLContext, judged: ClientCertificate) -> None:
    memory = os.memfd_create("client-certificate")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(f"{judged.certificate}\n{judged.key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{memory}")
    except ssl.SSLError as error:
        reason = (error.reason or "no reason given").replace("_", " ").lower()
        raise UnusableCertificateError(f"the TLS library refuses it: {reason}") from None
    finally:
        os.close(memory)
