"""Keys of client certificates are bounded, and contexts are made beside the event loop."""

import asyncio
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate
from daemon.egress import tls_context
from daemon.egress.tls_context import TlsContexts, UnusableCertificateError, check_client
from tests.support.certificates import Authority

Key = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)


def certificate_with(key: Key) -> ClientCertificate:
    """A self-signed certificate."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a-webhook")])
    now = datetime.now(UTC)
    needs_hash = isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256() if needs_hash else None)
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return ClientCertificate(text, pem.decode())


GOOD: dict[str, Callable[[], Key]] = {
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA 4096": lambda: rsa.generate_private_key(65537, 4096),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
BAD: dict[str, Callable[[], Key]] = {
    "RSA 1024": lambda: rsa.generate_private_key(65537, 1024),
    "RSA 4224": lambda: rsa.generate_private_key(65537, 4224),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "Ed448": ed448.Ed448PrivateKey.generate,
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_certificate_with_an_ordinary_key_can_be_used(kind: str) -> None:
    check_client(certificate_with(GOOD[kind]()))


@pytest.mark.parametrize("kind", BAD)
def test_a_certificate_with_any_other_key_is_refused(kind: str) -> None:
    with pytest.raises(UnusableCertificateError, match="its key must be"):
        check_client(certificate_with(BAD[kind]()))


async def test_contexts_are_made_in_threads_one_at_a_time_for_a_tenant() -> None:
    authority, names, running = Authority(), set(), []
    most = 0

    def make_context() -> ssl.SSLContext:
        nonlocal most
        names.add(threading.current_thread().name)
        running.append(1)
        most = max(most, len(running))
        threading.Event().wait(0.02)
        running.pop()
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    contexts = TlsContexts(make_context)
    names.clear()
    tenant = TenantId(UUID(int=1))
    clients = [authority.client(f"client-{n}") for n in range(5)]
    made = await asyncio.gather(
        *(contexts.context_for(each, tenant_id=tenant) for each in (*clients, *clients))
    )
    contexts.close()

    assert most == 1
    assert threading.current_thread().name not in names
    assert made[:5] == made[5:]
    assert len(set(made)) == 5


async def test_only_the_contexts_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_context, "CONTEXTS_KEPT", 2)
    authority = Authority()
    contexts = TlsContexts(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    first, second, third = [authority.client(f"client-{n}") for n in range(3)]
    of_first = await contexts.context_for(first, tenant_id=None)
    of_second = await contexts.context_for(second, tenant_id=None)
    await contexts.context_for(first, tenant_id=None)
    await contexts.context_for(third, tenant_id=None)

    assert await contexts.context_for(first, tenant_id=None) is of_first
    assert await contexts.context_for(second, tenant_id=None) is not of_second
    contexts.close()
