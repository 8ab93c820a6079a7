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

from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate
from daemon.egress.client_certificate import UnusableCertificateError, judge_client

# Each takes a megabyte for the authorities.
CONTEXTS_KEPT = 100
THREADS = 2
LONGEST_REST_SECONDS = 0.25


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
                context = self._with_client[client] = await self._make(client)
            self._with_client.move_to_end(client)
        if len(self._with_client) > CONTEXTS_KEPT:
            self._with_client.popitem(last=False)
        return context

    async def _make(self, client: ClientCertificate) -> ssl.SSLContext:
        """Make a context, and rest as long as that took: a tenant has half of a thread at most."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await loop.run_in_executor(self._threads, self._make_with, client)
        finally:
            await asyncio.sleep(min(LONGEST_REST_SECONDS, loop.time() - began))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _make_with(self, client: ClientCertificate) -> ssl.SSLContext:
        judged = judge_client(client)
        context = self._make_context()
        _load(context, judged)
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
