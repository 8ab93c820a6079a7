"""Certificates for receivers and clients under test, signed by a test authority."""

import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from daemon.core.model.secrets import ClientCertificate
from daemon.egress.tls_context import verifying_context

DAY = timedelta(days=1)
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class Authority:
    """Signs certificates, valid or not; OpenSSL distinguishes authorities by their `name`."""

    def __init__(self, name: str = "An authority for tests", *, key: Key | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        self._certificate = (
            _unsigned(self._name, self._name, self._key, self._key, until=datetime.now(UTC) + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """The authority's own certificate in PEM."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def client(
        self, name: str, *, pass_phrase: bytes | None = None, key: Key | None = None
    ) -> ClientCertificate:
        """Return a client certificate for `name`, its key encrypted if there is a pass phrase."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = _unsigned(
            _subject(name), self._name, key, self._key, until=datetime.now(UTC) + DAY
        ).sign(self._key, hashes.SHA256())
        encryption = BestAvailableEncryption(pass_phrase) if pass_phrase else NoEncryption()
        return ClientCertificate(
            certificate.public_bytes(Encoding.PEM).decode(),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode(),
        )

    def server_pem(self, host: str) -> tuple[str, str]:
        """Return a receiver's certificate for `host` and its key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _unsigned(_subject(host), self._name, key, self._key, until=datetime.now(UTC) + DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return (
            certificate.public_bytes(Encoding.PEM).decode(),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        )

    def trusted(self) -> ssl.SSLContext:
        """Return the context of the WebhookClient, which trusts this authority as well."""
        context = verifying_context()
        context.load_verify_locations(cadata=self.pem)
        return context

    def server(
        self,
        host: str,
        *,
        until: datetime | None = None,
        self_signed: bool = False,
        extra_certificates: int = 0,
        rsa_key: bool = False,
    ) -> ssl.SSLContext:
        """
        Return a receiver's context with a certificate for `host`, a name or an address.

        It is valid for a day or `until`. Its handshake includes `extra_certificates` that the
        chain does not need.
        """
        key: Key = _rsa_key() if rsa_key else ec.generate_private_key(ec.SECP256R1())
        issuer, signer = (_subject(host), key) if self_signed else (self._name, self._key)
        certificate = (
            _unsigned(_subject(host), issuer, key, signer, until=until or datetime.now(UTC) + DAY)
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        return _server_context([certificate, *[self._certificate] * extra_certificates], key)


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _subject(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: Key, signer: Key, *, until: datetime
) -> x509.CertificateBuilder:
    """From Python 3.13 on, clients verify strictly: they require the identifiers of the keys."""
    of_signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    of_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 2 * DAY)
        .not_valid_after(until)
        .add_extension(of_key, critical=False)
        .add_extension(of_signer, critical=False)
    )


def _server_context(certificates: Sequence[x509.Certificate], key: Key) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder) / "chain.pem"
        chain.write_bytes(
            b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        context.load_cert_chain(chain)
    return context
