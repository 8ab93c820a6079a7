"""Customers' certificates and keys: judged in milliseconds, and quick to sign with, or refused."""

import ssl
from collections.abc import Callable
from contextlib import suppress
from math import gcd

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat

from daemon.core.model.secrets import ClientCertificate
from daemon.egress.client_certificate import UnusableCertificateError
from daemon.egress.tls_context import load_client, usable_client
from tests.support import client_keys as keys
from tests.support.certificates import Authority
from tests.support.client_keys import Key, certificate_with, odd_number, pem_of
from tests.support.hang import at_most_cpu_seconds

RSA_2048 = rsa.generate_private_key(65537, 2048)
RSA_NUMBERS = RSA_2048.private_numbers()
P_256 = ec.generate_private_key(ec.SECP256R1())
OF_RSA = certificate_with(RSA_2048).certificate
OF_P_256 = certificate_with(P_256).certificate
PKCS_1 = PrivateFormat.TraditionalOpenSSL

GOOD: dict[str, Callable[[], Key]] = {
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA 3072, exponent 3": lambda: rsa.generate_private_key(3, 3072),
    "RSA 4096": lambda: rsa.generate_private_key(65537, 4096),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
BAD: dict[str, Callable[[], Key]] = {
    "RSA 1024": lambda: rsa.generate_private_key(65537, 1024),
    "RSA 4224": lambda: rsa.generate_private_key(65537, 4224),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP512R1()),
    "Ed448": ed448.Ed448PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(2048),
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_certificate_with_an_ordinary_key_can_be_used_and_stays_as_it_is(kind: str) -> None:
    client = certificate_with(GOOD[kind]())

    with at_most_cpu_seconds(5):
        assert usable_client(client) == client


@pytest.mark.parametrize("kind", BAD)
def test_a_certificate_with_any_other_key_is_refused(kind: str) -> None:
    with pytest.raises(UnusableCertificateError, match="its key must be"):
        usable_client(certificate_with(BAD[kind]()))


EC_PARAMETERS = keys.pem(bytes.fromhex("06082a8648ce3d030107"), "EC PARAMETERS")
FORMS = {
    "PKCS #1": ClientCertificate(OF_RSA, pem_of(RSA_2048, PKCS_1)),
    "SEC 1 after parameters": ClientCertificate(OF_P_256, EC_PARAMETERS + pem_of(P_256, PKCS_1)),
    "text around the blocks": ClientCertificate(
        f"Bag Attributes\r\n  friendlyName: käse\r\n{OF_P_256}", f"Key:\n\n{pem_of(P_256)}\n\nend"
    ),
    "lines of Windows": ClientCertificate(
        OF_P_256.replace("\n", "\r\n"), pem_of(P_256).replace("\n", "\r\n")
    ),
    "everything in both": ClientCertificate(OF_P_256 + pem_of(P_256), OF_P_256 + pem_of(P_256)),
    "with a revocation list": ClientCertificate(
        OF_P_256 + keys.pem(bytes(8), "X509 CRL") + keys.pem(bytes(8), "DH PARAMETERS"),
        pem_of(P_256),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_is_accepted_and_what_does_not_belong_is_left_out(form: str) -> None:
    judged = usable_client(FORMS[form])

    assert judged.certificate in {OF_RSA, OF_P_256}
    assert judged.key in {pem_of(RSA_2048), pem_of(P_256)}


def test_a_chain_has_ten_certificates_at_most() -> None:
    authority = Authority()
    client = authority.client("a-webhook")
    chain = client.certificate + authority.pem * 9

    assert usable_client(ClientCertificate(chain, client.key)).certificate == chain
    with pytest.raises(UnusableCertificateError, match="has more than 10 certificates"):
        usable_client(ClientCertificate(chain + authority.pem, client.key))


ISSUERS: dict[str, Callable[[], Key]] = {
    "RSA 4096": lambda: rsa.generate_private_key(65537, 4096),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP512R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


def _of_issuer(*, public: bytes, kind: bytes, parameters: bytes = b"\x05\x00") -> str:
    """A certificate of an issuer with the given public key."""
    return keys.certificate(kind, parameters, public)


def _rsa_public(bits: int) -> bytes:
    return keys.sequence(keys.integer(odd_number(bits)), keys.integer(65537))


LARGEST_ISSUERS = {
    "RSA 8192": _of_issuer(kind=keys.RSA, public=_rsa_public(8192)),
    "RSA-PSS": _of_issuer(kind=keys.RSA_PSS, parameters=b"", public=_rsa_public(2048)),
    "3,000 extensions": keys.certificate(keys.RSA, b"\x05\x00", _rsa_public(2048), extensions=3000),
}


@pytest.mark.parametrize("issuer", [*ISSUERS, *LARGEST_ISSUERS])
def test_the_other_certificates_of_a_chain_may_have_any_ordinary_key(issuer: str) -> None:
    other = LARGEST_ISSUERS.get(issuer) or certificate_with(ISSUERS[issuer]()).certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    with at_most_cpu_seconds(5):
        load_client(context, ClientCertificate(OF_P_256 + other, pem_of(P_256)))


HOSTILE_ISSUERS = {
    "explicit parameters of a slow curve": keys.slow_certificate(),
    "a curve of its own": _of_issuer(
        kind=keys.EC, parameters=keys.explicit_curve(521), public=b"\4" + bytes(132)
    ),
    "RSA of 8,208 bits": _of_issuer(kind=keys.RSA, public=_rsa_public(8208)),
    "RSA of 360,000 bits": _of_issuer(kind=keys.RSA, public=_rsa_public(360_000)),
    "DSA of 120,000 bits": _of_issuer(
        kind=keys.DSA,
        parameters=keys.sequence(*(keys.integer(odd_number(each)) for each in (120_000, 256, 9))),
        public=keys.integer(odd_number(120_000)),
    ),
}


@pytest.mark.parametrize("issuer", HOSTILE_ISSUERS)
@pytest.mark.parametrize("place", [1, 9])
def test_a_chain_with_any_other_key_is_refused_before_openssl_reads_it(
    issuer: str, place: int
) -> None:
    others = [OF_P_256] * 9
    others[place - 1] = HOSTILE_ISSUERS[issuer]
    client = ClientCertificate(OF_P_256 + "".join(others), pem_of(P_256))

    with (
        at_most_cpu_seconds(1),
        pytest.raises(UnusableCertificateError, match="the keys of the other certificates"),
    ):
        usable_client(client)


def composite(bits: int, *, beside: int = 1) -> int:
    """A number without a common factor with `beside`, that can stand for a prime."""
    return next(
        each
        for n in range(1000)
        if gcd((each := odd_number(bits, seed=n)) - 1, 65537) == gcd(each, beside) == 1
    )


def _huge_numbers(bits: int) -> str:
    """A key whose public part is that of RSA_2048."""
    public = RSA_NUMBERS.public_numbers
    private = (odd_number(bits, seed=seed) for seed in range(2, 7))
    return keys.rsa_key(public.n, public.e, RSA_NUMBERS.d, *private)


def _with_numbers(**changes: int) -> str:
    numbers = {
        "n": RSA_NUMBERS.public_numbers.n,
        "e": 65537,
        "d": RSA_NUMBERS.d,
        "p": RSA_NUMBERS.p,
        "q": RSA_NUMBERS.q,
        "dmp1": RSA_NUMBERS.dmp1,
        "dmq1": RSA_NUMBERS.dmq1,
        "iqmp": RSA_NUMBERS.iqmp,
    }
    return keys.rsa_key(*(numbers | changes).values())


def _exponent(bits: int) -> int:
    order = (RSA_NUMBERS.p - 1) * (RSA_NUMBERS.q - 1)
    return next(e for n in range(1000) if gcd(e := odd_number(bits, seed=n), order) == 1)


FACTOR, LARGE_FACTOR = composite(3990), composite(8192)
INCONSISTENT = {
    "private numbers of 6,000 bits": _huge_numbers(6_000),
    "one large factor": keys.rsa_key_from(FACTOR, composite(97, beside=FACTOR), 65537),
    "an exponent of 2,000 bits": keys.rsa_key_from(RSA_NUMBERS.p, RSA_NUMBERS.q, _exponent(2000)),
    "a private exponent of 9,000 bits": _with_numbers(d=odd_number(9000)),
    "exchanged factors": _with_numbers(p=RSA_NUMBERS.q, q=RSA_NUMBERS.p),
    "an exponent for another factor": _with_numbers(dmp1=RSA_NUMBERS.dmp1 + RSA_NUMBERS.p - 1),
    "a coefficient that is too large": _with_numbers(iqmp=RSA_NUMBERS.iqmp + RSA_NUMBERS.p),
}


@pytest.mark.parametrize("case", INCONSISTENT)
def test_an_rsa_key_whose_numbers_do_not_belong_together_is_refused(case: str) -> None:
    with at_most_cpu_seconds(5), pytest.raises(UnusableCertificateError, match="belong together"):
        usable_client(ClientCertificate(OF_RSA, INCONSISTENT[case]))


def test_the_largest_exponent_has_64_bits() -> None:
    key = keys.rsa_key_from(RSA_NUMBERS.p, RSA_NUMBERS.q, _exponent(64))

    with pytest.raises(UnusableCertificateError, match="not that of the first certificate"):
        usable_client(ClientCertificate(OF_RSA, key))  # so its numbers are accepted


def _huge_dsa(bits: int) -> str:
    parameters = keys.sequence(*(keys.integer(odd_number(bits, seed=n)) for n in range(3)))
    return keys.pkcs8(keys.DSA, parameters, keys.integer(odd_number(bits // 2)))


def _huge_dh(bits: int) -> str:
    parameters = keys.sequence(keys.integer(odd_number(bits)), keys.integer(2))
    return keys.pkcs8(keys.DH, parameters, keys.integer(odd_number(bits)))


def _huge_scalar(bits: int) -> str:
    scalar = keys.octets(odd_number(bits).to_bytes(bits // 8, "big"))
    return keys.pkcs8(keys.EC, keys.P_521, keys.sequence(keys.integer(1), scalar))


def _explicit(bits: int) -> str:
    scalar = keys.octets(bytes([1]) * 66)
    curve = keys.explicit_curve(bits)
    return keys.pkcs8(keys.EC, curve, keys.sequence(keys.integer(1), scalar))


HOSTILE = {
    "RSA, 16,384 bits of primes": keys.rsa_key_from(
        LARGE_FACTOR, composite(8192, beside=LARGE_FACTOR), 65537
    ),
    "RSA, 60,000 bits": _huge_numbers(60_000),
    "DSA in 5 KiB": _huge_dsa(10_000),
    "DSA in 60 KiB": _huge_dsa(100_000),
    "Diffie-Hellman in 4 KiB": _huge_dh(10_000),
    "Diffie-Hellman in 50 KiB": _huge_dh(150_000),
    "a scalar of 30,000 bits": _huge_scalar(30_000),
    "a curve of its own": _explicit(521),
    "a curve over 8,000 bits": _explicit(8000),
    "another algorithm in the armour of RSA": _huge_dsa(8000).replace("PRIV", "RSA PRIV"),
    "another algorithm in the armour of EC": _huge_dh(8000).replace("PRIV", "EC PRIV"),
    "padding within": pem_of(P_256).replace("\n-----E", f"=\n{'A' * 4000}\n-----E"),
    "a pass phrase": keys.encrypted_key(iterations=2**31 - 1),
    "a pass phrase, in the armour of a plain key": keys.encrypted_key(iterations=2**31 - 1).replace(
        "ENCRYPTED ", ""
    ),
    "a pass phrase in the traditional form": (
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,"
        f"{'0' * 32}\n\n{'A' * 800}\n-----END RSA PRIVATE KEY-----"
    ),
    "begins without an end": "-----BEGIN PRIVATE KEY-----\n" * 2000,
    "one block without an end": "-----BEGIN PRIVATE KEY-----\n" + "A" * 64_000,
}


@pytest.mark.parametrize("key", HOSTILE)
@pytest.mark.parametrize("certificate", [OF_RSA, OF_P_256], ids=["RSA", "P-256"])
def test_a_hostile_key_is_refused_at_once(key: str, certificate: str) -> None:
    with at_most_cpu_seconds(5), pytest.raises(UnusableCertificateError):
        usable_client(ClientCertificate(certificate, HOSTILE[key]))


CERTIFICATES = {
    "RSA of 360,000 bits": keys.certificate(
        keys.RSA, b"\x05\x00", keys.sequence(keys.integer(odd_number(360_000)), keys.integer(3))
    ),
    "an even modulus": keys.certificate(
        keys.RSA, b"\x05\x00", keys.sequence(keys.integer(1 << 2047), keys.integer(3))
    ),
    "DSA": keys.certificate(
        keys.DSA,
        keys.sequence(*(keys.integer(odd_number(60_000)) for _ in range(3))),
        keys.integer(odd_number(60_000)),
    ),
    "Diffie-Hellman": keys.certificate(
        keys.DH,
        keys.sequence(keys.integer(odd_number(60_000)), keys.integer(2)),
        keys.integer(odd_number(60_000)),
    ),
    "a curve of its own": keys.certificate(keys.EC, keys.explicit_curve(521), b"\4" + bytes(132)),
    "a curve over 40,000 bits": keys.certificate(keys.EC, keys.explicit_curve(40_000), b"\4\1\1"),
    "of an unknown version": keys.certificate(keys.EC, b"\x05\x00", b"", version=7),
    "longer than 64 KiB": OF_P_256 + " " * 64 * 1024,
    "an encrypted key beside it": OF_P_256 + keys.encrypted_key(iterations=2**31 - 1),
    "begins without an end": "-----BEGIN CERTIFICATE-----\n" * 9,
    "thousands of blocks": keys.pem(bytes(3), "CERTIFICATE") * 1000,
    "one byte beyond ASCII": OF_P_256.replace("MII", "MI\u2028", 1),
    "half of a pair": OF_P_256 + "\ud800",
}


@pytest.mark.parametrize("certificate", CERTIFICATES)
@pytest.mark.parametrize("key", [RSA_2048, P_256], ids=["RSA", "P-256"])
def test_a_hostile_certificate_is_refused_at_once(certificate: str, key: Key) -> None:
    with at_most_cpu_seconds(5), pytest.raises(UnusableCertificateError):
        usable_client(ClientCertificate(CERTIFICATES[certificate], pem_of(key)))


def signs_for(client: ClientCertificate, receiver: ssl.SSLContext) -> bool:
    """Whether a client signs with its key in a handshake that asks for its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    load_client(context, client)
    to_client, to_receiver = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(to_client, to_receiver)
    theirs = receiver.wrap_bio(to_receiver, to_client, server_side=True)
    for side in (ours, theirs, ours):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return ours.version() is not None


LARGEST_FACTOR = composite(2048)
LARGEST_COMPOSITE = keys.rsa_key_from(LARGEST_FACTOR, composite(2048, beside=LARGEST_FACTOR), 65537)
LARGEST_MODULUS = LARGEST_FACTOR * composite(2048, beside=LARGEST_FACTOR)
LARGEST = {
    "RSA 4096": certificate_with(rsa.generate_private_key(65537, 4096)),
    "factors that are not prime": ClientCertificate(
        keys.certificate(
            keys.RSA,
            b"\x05\x00",
            keys.sequence(keys.integer(LARGEST_MODULUS), keys.integer(65537)),
        ),
        LARGEST_COMPOSITE,
    ),
}


@pytest.mark.parametrize("key", LARGEST)
def test_a_signature_with_the_largest_key_takes_milliseconds(key: str) -> None:
    receiver = Authority().server("localhost")
    receiver.verify_mode = ssl.CERT_REQUIRED

    with at_most_cpu_seconds(10):  # for ten; with huge numbers, one takes seconds
        signed = [signs_for(LARGEST[key], receiver) for _ in range(10)]

    assert all(signed)
