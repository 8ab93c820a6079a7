"""Records that OpenSSL would not send, sealed with the keys of a real connection."""

import hmac
import ssl
import struct
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.hostile import Connection

HANDSHAKE, DATA = 22, 23


class RecordSealer:
    """Seals records for the client with the keys of a TLS 1.3 connection."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._derive_keys()

    def record(self, kind: int, data: bytes) -> bytes:
        """Return a record (RFC 8446, sections 5.2 and 5.3)."""
        inner = data + bytes([kind])
        head = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
        nonce = self._iv ^ self._sequence_number
        self._sequence_number += 1
        return head + self._key.encrypt(nonce.to_bytes(12), inner, head)

    def key_updates(self, count: int, *, reply_requested: bool) -> bytes:
        """Return KeyUpdate records (RFC 8446, 7.2), which may request updates in reply."""
        records = []
        for _ in range(count):
            records.append(self.record(HANDSHAKE, b"\x18\x00\x00\x01" + bytes([reply_requested])))
            self._secret = _derive(self._secret, b"traffic upd", 48)
            self._derive_keys()
        return b"".join(records)

    def _derive_keys(self) -> None:
        self._key = AESGCM(_derive(self._secret, b"key", 32))
        self._iv = int.from_bytes(_derive(self._secret, b"iv", 12))
        self._sequence_number = 0


class Tls12RecordSealer(RecordSealer):
    """Seals records with the keys of TLS 1.2 (RFC 5246, 6.2.3.3 and 6.3; RFC 5288)."""

    def __init__(self, secret: bytes, client: bytes, server: bytes) -> None:
        block = _expand(secret, b"key expansion" + server + client)
        self._key = AESGCM(block[16:32])
        self._salt = block[36:40]
        self._sequence_number = 1  # the server's Finished was number 0

    def record(self, kind: int, data: bytes) -> bytes:
        number = struct.pack(">Q", self._sequence_number)
        self._sequence_number += 1
        sealed = self._key.encrypt(
            self._salt + number, data, number + struct.pack(">BHH", kind, 0x0303, len(data))
        )
        return struct.pack(">BHH", kind, 0x0303, len(sealed) + 8) + number + sealed


async def shake_hands(connection: Connection, context: ssl.SSLContext) -> RecordSealer:
    """Complete a handshake and wait for the request; return a sealer with the server's keys."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    received = sent = b""
    done = False
    while not done:
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
            done = True
        if outgoing.pending:
            more = outgoing.read()
            sent += more
            await connection.send(more)
        if not done:
            more = await connection.read_some()
            received += more
            incoming.write(more)
    if not incoming.pending:  # no part of the request, which stays unread
        await connection.read_some()
    return _sealer_of(context, received[11:43], sent[11:43])


def _sealer_of(context: ssl.SSLContext, client: bytes, server: bytes) -> RecordSealer:
    """Find the keys in the context's log by the random bytes of both hellos."""
    for line in Path(context.keylog_filename).read_text().splitlines():
        match line.split():
            case ["SERVER_TRAFFIC_SECRET_0", random, secret] if random == client.hex():
                return RecordSealer(bytes.fromhex(secret))
            case ["CLIENT_RANDOM", random, secret] if random == client.hex():
                return Tls12RecordSealer(bytes.fromhex(secret), client, server)
    raise AssertionError("the handshake left no keys")


def _derive(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of TLS_AES_256_GCM_SHA384; one block is enough."""
    info = struct.pack(">HB", length, len(label) + 6) + b"tls13 " + label + b"\x00"
    return hmac.digest(secret, info + b"\x01", "sha384")[:length]


def _expand(secret: bytes, seed: bytes) -> bytes:
    """Two blocks of P_SHA256."""
    first = hmac.digest(secret, seed, "sha256")
    second = hmac.digest(secret, first, "sha256")
    return b"".join(hmac.digest(secret, each + seed, "sha256") for each in (first, second))
