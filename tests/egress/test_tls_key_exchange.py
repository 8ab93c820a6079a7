"""
Finite-field key exchanges are refused: the receiver chooses how large their numbers are.

The key of an 8,192-bit group (ffdhe8192, RFC 7919) blocks the event loop for a seventh of a second.
"""

import base64
import ssl
from contextlib import suppress

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome
from daemon.egress.tls_context import verifying_context
from tests.support.certificates import Authority
from tests.support.client import FakeResolver, leak_check, request_to, webhook_client
from tests.support.hostile import OK, Connection, Script, hostile, responding_with

FFDHE = {"ffdhe2048": 256, "ffdhe3072": 257, "ffdhe4096": 258, "ffdhe6144": 259, "ffdhe8192": 260}
X25519 = 29
FFDHE8192_KEY_BYTES = 1024

HELLO_RETRY_RANDOM = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"  # RFC 8446, section 4.1.3
)
TLS_AES_128_GCM_SHA256 = b"\x13\x01"
SUPPORTED_VERSIONS = b"\x00\x2b\x00\x02\x03\x04"
REFUSED = Failure(
    FailureKind.TLS,
    "the TLS handshake failed: the receiver asked for a finite-field key exchange; it must accept"
    " an elliptic curve",
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def hello_retry_request(client_hello: bytes, group: int) -> bytes:
    """Reply to the record of a ClientHello that its key must be of this group (RFC 8446, 4.1.4)."""
    session_id = client_hello[43 : 44 + client_hello[43]]  # with its length
    key_share = b"\x00\x33\x00\x02" + group.to_bytes(2)
    extensions = SUPPORTED_VERSIONS + key_share
    body = b"\x03\x03" + HELLO_RETRY_RANDOM + session_id + TLS_AES_128_GCM_SHA256 + b"\x00"
    body += len(extensions).to_bytes(2) + extensions
    message = b"\x02" + len(body).to_bytes(3) + body
    return b"\x16\x03\x03" + len(message).to_bytes(2) + message


def requiring(group: int, replies: list[bytes]) -> Script:
    """Ask for a key of this group, and collect everything that the client sends after that."""

    async def script(connection: Connection) -> None:
        await connection.send(hello_retry_request(await connection.read_some(), group))
        while True:
            replies.append(await connection.read_some())

    return script


async def outcome_at(
    script: Script, *, server: ssl.SSLContext | None, authority: Authority
) -> Outcome:
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        webhook_client(tls=authority.trusted(), resolver=names) as client,
        hostile(script, tls=server) as receiver,
    ):
        return await client.send(request_to(f"https://receiver.test:{receiver.port}/"))


@pytest.mark.parametrize("group", FFDHE.values(), ids=FFDHE)
async def test_no_key_is_computed_when_a_receiver_asks_for_the_group(
    group: int, authority: Authority
) -> None:
    replies: list[bytes] = []
    async with leak_check():
        outcome = await outcome_at(requiring(group, replies), server=None, authority=authority)

    assert outcome.result == REFUSED
    assert replies == []


async def test_an_elliptic_curve_may_be_asked_for(authority: Authority) -> None:
    server = authority.server("receiver.test")
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.set_ecdh_curve("secp384r1")  # for which the client sends no key at first

    outcome = await outcome_at(responding_with(OK), server=server, authority=authority)

    assert not isinstance(outcome.result, Failure)


def test_openssl_would_compute_the_key_that_the_tests_above_ask_for() -> None:
    """Otherwise those tests would prove nothing."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = verifying_context().wrap_bio(incoming, outgoing, server_hostname="receiver.test")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(hello_retry_request(outgoing.read(), FFDHE["ffdhe8192"]))
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()

    key_share = FFDHE["ffdhe8192"].to_bytes(2) + FFDHE8192_KEY_BYTES.to_bytes(2)
    assert key_share in outgoing.read()


async def test_a_server_that_accepts_only_ffdhe8192_is_refused(authority: Authority) -> None:
    server: ssl.SSLContext | None = authority.server("receiver.test")
    script = responding_with(OK)
    assert server is not None
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        server.set_ecdh_curve("ffdhe8192")
    except (ssl.SSLError, ValueError):  # Python 3.11.2 takes the names of elliptic curves only
        server, script = None, requiring(FFDHE["ffdhe8192"], [])

    outcome = await outcome_at(script, server=server, authority=authority)

    assert outcome.result == REFUSED


async def test_a_tls_1_2_server_that_accepts_only_dhe_is_refused(
    dhe_server: ssl.SSLContext, authority: Authority
) -> None:
    outcome = await outcome_at(responding_with(OK), server=dhe_server, authority=authority)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind is FailureKind.TLS


def test_another_client_would_exchange_keys_of_8192_bits_with_that_server(
    dhe_server: ssl.SSLContext, authority: Authority
) -> None:
    """Otherwise the test above would prove nothing."""
    permissive = authority.trusted()
    permissive.set_ciphers("DHE")

    client, largest_flight = handshake(permissive, dhe_server)

    cipher = client.cipher()
    assert cipher is not None
    assert cipher[0].startswith("DHE-RSA-")
    assert largest_flight > 2 * FFDHE8192_KEY_BYTES  # the prime, and the server's key


def test_no_cipher_of_tls_1_2_uses_a_finite_field() -> None:
    """In TLS 1.2 the receiver may choose 10,000 bits, which take a second."""
    exchanges = {cipher["kea"] for cipher in verifying_context().get_ciphers()}

    assert exchanges <= {"kx-ecdhe", "kx-any"}  # any: TLS 1.3, which chooses groups separately


@pytest.fixture
def dhe_server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A TLS 1.2 server that accepts only DHE with the group ffdhe8192."""
    parameters = tmp_path_factory.mktemp("dh") / "ffdhe8192.pem"
    parameters.write_text(dh_parameters(ffdhe8192_prime(), generator=2))
    context = authority.server("receiver.test", rsa_key=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256")
    context.load_dh_params(str(parameters))
    return context


def dh_parameters(prime: int, *, generator: int) -> str:
    """Return the PEM of DHParameter (PKCS #3, section 9), a sequence of two integers."""
    integers = b"".join(
        der(0x02, each.to_bytes(each.bit_length() // 8 + 1)) for each in (prime, generator)
    )
    encoded = base64.encodebytes(der(0x30, integers)).decode()
    return f"-----BEGIN DH PARAMETERS-----\n{encoded}-----END DH PARAMETERS-----\n"


def der(tag: int, content: bytes) -> bytes:
    """Return a DER value of this tag."""
    length = len(content).to_bytes(2) if len(content) > 127 else b""
    head = bytes([0x80 | len(length)]) + length if length else bytes([len(content)])
    return bytes([tag]) + head + content


def ffdhe8192_prime() -> int:
    """2^8192 - 2^8128 + (floor(2^8062 * e) + 10965728) * 2^64 - 1 (RFC 7919, appendix A.5)."""
    guard_bits = 64
    term = scaled_e = 1 << 8062 + guard_bits  # 1/0!
    divisor = 1
    while term:
        term //= divisor
        divisor += 1
        scaled_e += term
    return 2**8192 - 2**8128 + ((scaled_e >> guard_bits) + 10965728) * 2**64 - 1


def handshake(
    client_context: ssl.SSLContext, server_context: ssl.SSLContext
) -> tuple[ssl.SSLObject, int]:
    """Complete a handshake in memory; return the client and its largest flight received."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="receiver.test")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    largest = 0
    for _ in range(3):
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        with suppress(ssl.SSLWantReadError):
            server.do_handshake()
        largest = max(largest, to_client.pending)
    client.do_handshake()
    return client, largest
