"""
Client certificates of webhooks: read, judged, and written again for OpenSSL.

A customer chooses every number in them, and a signature holds the event loop. So OpenSSL gets only
what is written here: a chain of bounded length whose public keys are all of known kinds, and a key
of a known kind whose numbers are bounded and belong together. No pass phrase is ever derived.
"""

import re
from binascii import a2b_base64

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import PublicKeyAlgorithmOID

from daemon.core.model.secrets import ClientCertificate

LONGEST_PEM = 64 * 1024  # characters, of the chain and of the text around the key
LONGEST_KEY = 8 * 1024  # characters; RSA with 4096 bits takes 3,300
MOST_CERTIFICATES = 10
# With RSA of 16,384 bits a signature takes half a second.
RSA_BITS = range(2048, 4096 + 1)
LONGEST_EXPONENT = 64  # bits; OpenSSL raises to it for each signature
UNEVEN_BITS = 32  # by which a factor may exceed half of the modulus
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
# Of the other certificates, with whose keys we sign nothing.
ISSUER_RSA_BITS = range(2048, 8192 + 1)
ISSUER_CURVES = (*CURVES, ec.BrainpoolP256R1, ec.BrainpoolP384R1, ec.BrainpoolP512R1)

PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<label>(?:RSA |EC )?PRIVATE KEY)-----(?P<content>[A-Za-z0-9+/=\s]*)"
    r"-----END (?P=label)-----",
    re.ASCII,
)
KINDS = frozenset(
    {
        PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5,
        PublicKeyAlgorithmOID.EC_PUBLIC_KEY,
        PublicKeyAlgorithmOID.ED25519,
    }
)
ISSUER_KINDS = KINDS | {PublicKeyAlgorithmOID.RSASSA_PSS, PublicKeyAlgorithmOID.ED448}
# PKCS #8 (RFC 5958) up to the algorithm, one of KINDS. Merely loading a key of another kind, such
# as DSA or Diffie-Hellman, takes a second with 8 KiB.
PKCS_8 = re.compile(
    rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]\x30(?:[\x00-\x7f]|\x81.|\x82..)"
    rb"\x06(?:\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01|\x07\x2a\x86\x48\xce\x3d\x02\x01|\x03\x2b\x65\x70)",
    re.DOTALL,
)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class UnusableCertificateError(Exception):
    """The webhook's client certificate or key cannot be used; `str()` is for the customer."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the webhook's client certificate cannot be used: {reason}")


def judge_client(client: ClientCertificate) -> ClientCertificate:
    """
    Return the chain and the key as they are presented, without anything else in their texts.

    Takes a few milliseconds at most. Raises UnusableCertificateError.
    """
    if max(len(client.certificate), len(client.key)) > LONGEST_PEM:
        raise UnusableCertificateError("it is longer than 64 KiB")
    if "ENCRYPTED" in client.key or "ENCRYPTED" in client.certificate:
        raise UnusableCertificateError("its key has a pass phrase; give the key without one")
    try:
        chain = _read_chain(client.certificate)
        key = _read_key(client.key)
        if key.public_key() != _public_key(chain[0]):
            raise UnusableCertificateError("the private key is not that of the first certificate")
        for issuer in chain[1:]:
            _judge_issuer(issuer)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise UnusableCertificateError(
            "it must be a certificate in PEM with its own private key"
        ) from None
    return ClientCertificate(
        "".join(each.public_bytes(Encoding.PEM).decode() for each in chain), pem.decode()
    )


def _read_chain(text: str) -> list[x509.Certificate]:
    """Raises ValueError and UnusableCertificateError."""
    if text.count("-----BEGIN ") > MOST_CERTIFICATES:
        raise UnusableCertificateError(f"it has more than {MOST_CERTIFICATES} certificates")
    return x509.load_pem_x509_certificates(text.encode())


def _public_key(certificate: x509.Certificate) -> PublicKey:
    """Raises ValueError, UnsupportedAlgorithm and UnusableCertificateError."""
    if certificate.public_key_algorithm_oid not in KINDS:
        raise _wrong_kind()
    key = certificate.public_key()
    match key:
        case rsa.RSAPublicKey() if key.key_size in RSA_BITS:
            return key
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, CURVES):
            return key
        case ed25519.Ed25519PublicKey():
            return key
    raise _wrong_kind()


def _judge_issuer(certificate: x509.Certificate) -> None:
    """
    Raises UnusableCertificateError for a certificate of the chain whose key OpenSSL reads slowly.

    It decodes the keys of all: a compressed point on a curve with explicit parameters takes a
    second.
    """
    if not _has_ordinary_key(certificate):
        raise UnusableCertificateError(
            "the keys of the other certificates of its chain must be RSA of 2048 to 8192 bits,"
            " ECDSA with P-256, P-384, P-521 or a Brainpool curve, Ed25519 or Ed448"
        )


def _has_ordinary_key(certificate: x509.Certificate) -> bool:
    if certificate.public_key_algorithm_oid not in ISSUER_KINDS:
        return False
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):  # such as a curve without a name
        return False
    match key:
        case rsa.RSAPublicKey():
            return key.key_size in ISSUER_RSA_BITS
        case ec.EllipticCurvePublicKey():
            return isinstance(key.curve, ISSUER_CURVES)
        case _:
            return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def _read_key(text: str) -> PrivateKey:
    """Return the first private key. Raises ValueError, TypeError and UnusableCertificateError."""
    found = PRIVATE_KEY.search(text)
    if found is None or len(found[0]) > LONGEST_KEY:
        raise ValueError("no key in PEM, or a very long one")
    content = a2b_base64("".join(found["content"].split()), strict_mode=True)
    if found["label"] == "PRIVATE KEY" and not PKCS_8.match(content):
        raise _wrong_kind()
    # The library's own check proves that the factors are prime, which takes a second with 4096
    # bits, during which no other thread runs.
    key = load_pem_private_key(found[0].encode(), None, unsafe_skip_rsa_key_validation=True)
    if isinstance(key, rsa.RSAPrivateKey):
        _judge_numbers(key.private_numbers())
    if not isinstance(key, PrivateKey):
        raise _wrong_kind()
    return key


def _judge_numbers(key: rsa.RSAPrivateNumbers) -> None:
    """
    Raises UnusableCertificateError for numbers with which a signature takes long.

    Whether the factors are prime does not matter: with others, signatures are merely wrong.
    """
    n, e = key.public_numbers.n, key.public_numbers.e
    if n.bit_length() not in RSA_BITS:
        raise _wrong_kind()
    bounded = (
        e.bit_length() <= LONGEST_EXPONENT
        and 2 * max(key.p, key.q).bit_length() <= n.bit_length() + 2 * UNEVEN_BITS
        and key.p * key.q == n
        and n & e & 1
        and key.d < n
    )
    if not bounded or not _belong_together(key):
        raise UnusableCertificateError("the numbers of its RSA key do not belong together")


def _belong_together(key: rsa.RSAPrivateNumbers) -> bool:
    """Whether the private numbers are those of the bounded factors (RFC 8017, section 3.2)."""
    e = key.public_numbers.e
    return (
        key.dmp1 == key.d % (key.p - 1)
        and key.dmq1 == key.d % (key.q - 1)
        and e * key.dmp1 % (key.p - 1) == 1
        and e * key.dmq1 % (key.q - 1) == 1
        and key.iqmp < key.p
        and key.iqmp * key.q % key.p == 1
    )


def _wrong_kind() -> UnusableCertificateError:
    return UnusableCertificateError(
        "its key must be RSA of 2048 to 4096 bits, ECDSA with P-256, P-384 or P-521, or Ed25519"
    )
