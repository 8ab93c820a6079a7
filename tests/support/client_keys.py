"""Certificates and private keys in DER and PEM that no library would write."""

from base64 import encodebytes
from datetime import UTC, datetime, timedelta
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from daemon.core.model.secrets import ClientCertificate

Key = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)

RSA, RSA_PSS, DSA, DH, EC = (
    bytes.fromhex("2a864886f70d010101"),
    bytes.fromhex("2a864886f70d01010a"),
    bytes.fromhex("2a8648ce380401"),
    bytes.fromhex("2a864886f70d010301"),
    bytes.fromhex("2a8648ce3d0201"),
)
P_521 = bytes.fromhex("06052b81040023")


def certificate_with(key: Key) -> ClientCertificate:
    """A self-signed certificate."""
    text = _self_signed(key).public_bytes(Encoding.PEM).decode()
    return ClientCertificate(text, pem_of(key))


def pem_of(key: Key, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """The key in PEM, without a pass phrase."""
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def _self_signed(key: Key) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a-webhook")])
    now = datetime.now(UTC)
    without_hash = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None if without_hash else hashes.SHA256())
    )


def pem(der: bytes, label: str) -> str:
    """DER in the armour of PEM."""
    return f"-----BEGIN {label}-----\n{encodebytes(der).decode()}-----END {label}-----\n"


def rsa_key(*numbers: int) -> str:
    """A PKCS #1 key in PEM of n, e, d, p, q, d mod p-1, d mod q-1, q^-1 mod p."""
    return pem(sequence(*(integer(each) for each in (0, *numbers))), "RSA PRIVATE KEY")


def rsa_key_from(p: int, q: int, e: int) -> str:
    """The consistent PKCS #1 key in PEM of two factors, prime or not."""
    d = pow(e, -1, (p - 1) * (q - 1))
    return rsa_key(p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))


def pkcs8(algorithm: bytes, parameters: bytes, key: bytes) -> str:
    """A PKCS #8 key in PEM."""
    info = sequence(integer(0), sequence(_tlv(6, algorithm), parameters), _tlv(4, key))
    return pem(info, "PRIVATE KEY")


def certificate(
    algorithm: bytes, parameters: bytes, key: bytes, *, extensions: int = 0, version: int = 2
) -> str:
    """A certificate in PEM with a public key of any kind, and a signature that is none."""
    name = sequence(_tlv(0x31, sequence(_tlv(6, bytes.fromhex("550403")), _tlv(12, b"x"))))
    signature = sequence(_tlv(6, bytes.fromhex("2a864886f70d01010b")), b"\x05\x00")
    days = sequence(_tlv(0x17, b"260101000000Z"), _tlv(0x17, b"390101000000Z"))
    public = sequence(sequence(_tlv(6, algorithm), parameters), _tlv(3, b"\0" + key))
    entries = (
        sequence(_tlv(6, bytes([0x2A, n % 120, n // 120])), _tlv(4, b"")) for n in range(extensions)
    )
    more = _tlv(0xA3, sequence(*entries)) if extensions else b""
    content = sequence(
        _tlv(0xA0, integer(version)), integer(5), signature, name, days, name, public, more
    )
    return pem(sequence(content, signature, _tlv(3, bytes(257))), "CERTIFICATE")


def sequence(*parts: bytes) -> bytes:
    """An ASN.1 SEQUENCE."""
    return _tlv(0x30, b"".join(parts))


def integer(value: int) -> bytes:
    """An ASN.1 INTEGER."""
    return _tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    """An ASN.1 OCTET STRING."""
    return _tlv(4, content)


def odd_number(bits: int, *, seed: int = 1) -> int:
    """An odd number of so many bits, the same one each time."""
    return (1 << (bits - 1)) | Random(seed).getrandbits(bits - 1) | 1


def explicit_curve(bits: int) -> bytes:
    """Parameters of a curve over a number of so many bits, which is no prime."""
    p = odd_number(bits)
    size = (bits + 7) // 8
    x, y = odd_number(bits - 1, seed=2), odd_number(bits - 1, seed=3)
    b = (y * y - x**3) % p
    field = sequence(_tlv(6, bytes.fromhex("2a8648ce3d0101")), integer(p))
    curve = sequence(_tlv(4, bytes(size)), _tlv(4, b.to_bytes(size, "big")))
    point = b"\4" + x.to_bytes(size, "big") + y.to_bytes(size, "big")
    return sequence(integer(1), field, curve, _tlv(4, point), integer(p - 2), integer(1))


def slow_certificate() -> str:
    """
    A certificate in PEM that OpenSSL takes more than a second of CPU time to read.

    Its curve is over a prime of the form k * 2**640 + 1, and its points are compressed: to find the
    other half of each takes 100,000 squarings.
    """
    p = 1427991 * 2**640 + 1
    size = (p.bit_length() + 7) // 8
    field = sequence(_tlv(6, bytes.fromhex("2a8648ce3d0101")), integer(p))
    curve = sequence(_tlv(4, (p - 3).to_bytes(size, "big")), _tlv(4, (7).to_bytes(size, "big")))
    generator, point = (b"\2" + x.to_bytes(size, "big") for x in (3, 4))
    order = 2 ** (p.bit_length() - 1) - 19
    parameters = sequence(integer(1), field, curve, _tlv(4, generator), integer(order), integer(1))
    return certificate(EC, parameters, point)


def encrypted_key(*, iterations: int) -> str:
    """An encrypted PKCS #8 key in PEM, whose pass phrase costs so many iterations of PBKDF2."""
    hmac_sha256 = sequence(_tlv(6, bytes.fromhex("2a864886f70d0209")), b"\x05\x00")
    derived = sequence(_tlv(4, bytes(8)), integer(iterations), hmac_sha256)
    aes_256_cbc = sequence(_tlv(6, bytes.fromhex("60864801650304012a")), _tlv(4, bytes(16)))
    pbkdf2 = sequence(_tlv(6, bytes.fromhex("2a864886f70d01050c")), derived)
    pbes2 = sequence(_tlv(6, bytes.fromhex("2a864886f70d01050d")), sequence(pbkdf2, aes_256_cbc))
    return pem(sequence(pbes2, _tlv(4, bytes(144))), "ENCRYPTED PRIVATE KEY")


def _tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content
