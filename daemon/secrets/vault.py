"""
Secrets at rest: sealed under a master key, each bound to the very row and place it belongs to.

What the application wrote plain is read as it is. What is sealed names its key, so that several
keys can be in use while one takes the place of another.
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

from daemon.core.errors import UnreadableSecretError

# sealed:<version>:<key id>:<base64 of nonce, ciphertext and tag>
PREFIX = "sealed:1:"
NONCE_BYTES = 12  # NIST SP 800-38D, section 8.2.2: random, for fewer than 2^32 secrets a key
OPENED_KEPT = 8192


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key made from an operator's setting, and the id that what it sealed bears."""

    id: str
    cipher: AESGCM

    @classmethod
    def from_setting(cls, setting: str) -> "MasterKey":
        """
        Derive key and id (RFC 5869), so that neither tells anything of the other.

        `setting` must itself be beyond guessing, like `openssl rand -base64 32`: it is not
        stretched, for it is no password.
        """
        return cls(
            _derived(setting, b"webhookd key id", 4).hex(),
            AESGCM(_derived(setting, b"webhookd master key", 32)),
        )


class _Open(Protocol):
    def __call__(self, text: str, *, place: str) -> str: ...


class Vault:
    """Seals under the first of the keys, and opens under any of them; without keys all is plain."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        self.use(settings)

    def use(self, settings: Sequence[str]) -> None:
        """Take these keys in place of the former ones, the newest first."""
        keys = [MasterKey.from_setting(setting) for setting in settings]
        self._keys = {key.id: key for key in keys}
        self.newest = keys[0].id if keys else None
        # An attempt's secret is opened once, not once an attempt.
        self._remembered: _Open = lru_cache(OPENED_KEPT)(self._opened)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The keys that can be opened with, the newest first."""
        return tuple(self._keys)

    def seal(self, plain: str, *, place: str) -> str:
        """
        Encrypt (AES-256-GCM), for this place alone: elsewhere it cannot be opened.

        Call it only when there is a `newest` key.
        """
        assert self.newest is not None
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._keys[self.newest].cipher.encrypt(nonce, plain.encode(), place.encode())
        packed = b2a_base64(nonce + ciphertext, newline=False).decode()
        return f"{PREFIX}{self.newest}:{packed}"

    def open(self, text: str, *, place: str) -> str:
        """
        Decrypt what `seal` made for this place; what is not sealed comes back as it is.

        Raises UnreadableSecretError when the key is not among ours, or the text was changed or
        comes from another place.
        """
        return self._remembered(text, place=place) if is_sealed(text) else text

    def _opened(self, text: str, *, place: str) -> str:
        key_id, _, packed = text.removeprefix(PREFIX).partition(":")
        key = self._keys.get(key_id)
        if key is None:
            raise UnreadableSecretError(
                "a secret is sealed under a key that security.master_keys does not have"
            )
        try:
            raw = a2b_base64(packed, strict_mode=True)
            return key.cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise UnreadableSecretError(
                "a sealed secret was changed, or belongs to another webhook"
            ) from None


def is_sealed(text: str) -> bool:
    return text.startswith(PREFIX)


def _derived(setting: str, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=purpose).derive(setting.encode())
