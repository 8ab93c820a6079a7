"""
Seal and open secrets at rest under the operator's master keys.

A secret that the application wrote in plain text is read as it is. A sealed one names its key, so
that several keys can be in use while a new one replaces an old one.
"""

import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from daemon.core.errors import SealMismatchError, UnreadableSecretError

# sealed:<version>:<key id>:<base64 of nonce, ciphertext and tag>
PREFIX = "sealed:1:"
NONCE_BYTES = 12  # NIST SP 800-38D, section 8.2.2: random, for fewer than 2^32 secrets a key
OPENED_KEPT = 8192
# Characters, as stored. A longer one, such as a header of 4 KiB, is opened again each time.
LONGEST_KEPT = 1024


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key derived from an operator's setting, and the id that its sealed texts contain."""

    id: str
    cipher: AESGCM

    @classmethod
    def from_setting(cls, setting: str) -> "MasterKey":
        """
        Derive key and id (HKDF, RFC 5869), so that neither reveals anything about the other.

        `setting` must itself be unguessable, like `openssl rand -base64 32`: it is not a password,
        and so it is not stretched.
        """
        return cls(
            _derive(setting, b"webhookd key id", 4).hex(),
            AESGCM(_derive(setting, b"webhookd master key", 32)),
        )


class _Decrypt(Protocol):
    def __call__(self, text: str, *, associated_data: str) -> str: ...


class Vault:
    """Seals under the first key and opens under any; without keys, secrets stay in plain text."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        self.use(settings)

    def use(self, settings: Sequence[str]) -> None:
        """Replace the keys by those derived from `settings`, newest first."""
        keys = [MasterKey.from_setting(setting) for setting in settings]
        self._keys = {key.id: key for key in keys}
        self.newest = keys[0].id if keys else None
        # Whether values that earlier versions sealed may still wait to be bound to their origin.
        self.binding_pending = True
        # Most secrets are decrypted once, not at every attempt.
        self._cached_decrypt: _Decrypt = lru_cache(OPENED_KEPT)(self._decrypt)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, newest first."""
        return tuple(self._keys)

    def seal(self, plain: str, *, associated_data: str) -> str:
        """
        Encrypt `plain` with AES-256-GCM; only the same `associated_data` opens it again.

        Call this only when there is a `newest` key.
        """
        assert self.newest is not None
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._keys[self.newest].cipher
        ciphertext = cipher.encrypt(nonce, plain.encode(), associated_data.encode())
        packed = _pack(nonce + ciphertext)
        return f"{PREFIX}{self.newest}:{packed}"

    def open(self, text: str, *, associated_data: str) -> str:
        """
        Decrypt a text from `seal` with the same `associated_data`; return any other text as it is.

        Raises UnreadableSecretError when the key is unknown, and SealMismatchError when the text
        was changed, or sealed with other associated data.
        """
        if not is_sealed(text):
            return text
        decrypt = self._cached_decrypt if len(text) <= LONGEST_KEPT else self._decrypt
        return decrypt(text, associated_data=associated_data)

    def open_once(self, text: str, *, associated_data: str) -> str:
        """Decrypt as `open` does, but keep nothing in memory: for texts that are large or many."""
        if not is_sealed(text):
            return text
        return self._decrypt(text, associated_data=associated_data)

    def _decrypt(self, text: str, *, associated_data: str) -> str:
        key_id, _, packed = text.removeprefix(PREFIX).partition(":")
        key = self._keys.get(key_id)
        if key is None:
            raise UnreadableSecretError(
                "a secret is sealed under a key that security.master_keys does not have"
            )
        try:
            raw = _unpack(packed)
            nonce, ciphertext = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
            return key.cipher.decrypt(nonce, ciphertext, associated_data.encode()).decode()
        except (InvalidTag, ValueError):
            raise SealMismatchError(
                "a sealed secret was changed, or belongs to another webhook or origin"
            ) from None


def is_sealed(text: str) -> bool:
    """Return whether `text` has the form that `Vault.seal` produces."""
    return text.startswith(PREFIX)


def _pack(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode()


def _unpack(text: str) -> bytes:
    """Raises ValueError for any text but the one of `_pack`: some characters have unused bits."""
    raw = a2b_base64(text, strict_mode=True)
    if _pack(raw) != text:
        raise ValueError("bits that decoding ignores are set")
    return raw


def _derive(setting: str, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=purpose).derive(setting.encode())
