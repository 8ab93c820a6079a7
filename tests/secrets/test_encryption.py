"""A sealed secret opens only with its key and associated data, and only unchanged."""

import re
import string
import tracemalloc
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.errors import UnreadableSecretError
from daemon.secrets.encryption import MasterKey, Vault, is_sealed

OLD, NEW = "old-" * 10, "new-" * 10
ASSOCIATED_DATA = "8f14e45f/secret"
ALPHABET = f"{string.ascii_uppercase}{string.ascii_lowercase}{string.digits}+/"  # of base64


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(codec="utf-8")))
def test_a_sealed_secret_opens_with_its_associated_data(plain: str, associated_data: str) -> None:
    vault = Vault([NEW])

    sealed = vault.seal(plain, associated_data=associated_data)

    assert is_sealed(sealed)
    assert vault.open(sealed, associated_data=associated_data) == plain
    assert Vault([NEW]).open(sealed, associated_data=associated_data) == plain


def test_a_sealed_secret_contains_its_key_s_id_and_nothing_of_the_secret() -> None:
    vault = Vault([NEW])

    once, again = (vault.seal("whsec_canary", associated_data=ASSOCIATED_DATA) for _ in range(2))

    assert re.fullmatch(rf"sealed:1:{vault.newest}:[A-Za-z0-9+/]+=*", once)
    assert "canary" not in once
    assert once != again


def test_a_key_s_id_is_constant_and_not_part_of_the_key() -> None:
    assert MasterKey.from_setting(OLD).id == MasterKey.from_setting(OLD).id
    assert MasterKey.from_setting(OLD).id != MasterKey.from_setting(NEW).id
    assert re.fullmatch("[0-9a-f]{8}", MasterKey.from_setting("0123456789abcdef" * 2).id)


def test_a_plain_secret_is_read_as_it_is() -> None:
    assert Vault().open("whsec_plain", associated_data=ASSOCIATED_DATA) == "whsec_plain"
    assert Vault([NEW]).open("whsec_plain", associated_data=ASSOCIATED_DATA) == "whsec_plain"


def test_the_newest_key_seals_and_every_key_opens() -> None:
    before = Vault([OLD]).seal("s", associated_data=ASSOCIATED_DATA)
    vault = Vault([NEW, OLD])

    after = vault.seal("s", associated_data=ASSOCIATED_DATA)

    assert vault.open(before, associated_data=ASSOCIATED_DATA) == "s"
    assert vault.open(after, associated_data=ASSOCIATED_DATA) == "s"
    assert vault.newest == Vault([NEW]).newest
    assert Vault([NEW]).open(after, associated_data=ASSOCIATED_DATA) == "s"


def test_a_secret_does_not_open_with_other_associated_data() -> None:
    vault = Vault([NEW])
    sealed = vault.seal("s", associated_data=ASSOCIATED_DATA)

    with pytest.raises(UnreadableSecretError, match="belongs to another webhook"):
        vault.open(sealed, associated_data="c9f0f895/secret")


def test_without_its_key_a_secret_does_not_open_even_if_it_was_opened_before() -> None:
    vault = Vault([OLD])
    sealed = vault.seal("s", associated_data=ASSOCIATED_DATA)
    vault.open(sealed, associated_data=ASSOCIATED_DATA)

    vault.use([NEW])

    with pytest.raises(UnreadableSecretError, match=r"a key that security\.master_keys does not"):
        vault.open(sealed, associated_data=ASSOCIATED_DATA)


@given(st.data())
def test_a_changed_sealed_text_does_not_open(data: st.DataObject) -> None:
    vault = Vault([NEW])
    sealed = vault.seal("whsec_1234567890", associated_data=ASSOCIATED_DATA)
    at = data.draw(st.integers(len("sealed:1:"), len(sealed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != sealed[at]))

    with pytest.raises(UnreadableSecretError):
        vault.open(sealed[:at] + other + sealed[at + 1 :], associated_data=ASSOCIATED_DATA)


def test_a_last_character_that_decodes_to_the_same_bytes_does_not_open() -> None:
    vault = Vault([NEW])
    sealed = vault.seal("whsec_1234567890", associated_data=ASSOCIATED_DATA)
    last = ALPHABET.index(sealed[-2])
    same = sealed[:-2] + ALPHABET[last ^ 1] + "="
    assert b64decode(same.rpartition(":")[2]) == b64decode(sealed.rpartition(":")[2])

    with pytest.raises(UnreadableSecretError):
        vault.open(same, associated_data=ASSOCIATED_DATA)


@pytest.mark.parametrize(
    "rest", ["", ":", "x", "{id}", "{id}:", "{id}:AAAA", "{id}:é", "{id}:===="]
)
def test_a_malformed_sealed_text_does_not_open(rest: str) -> None:
    vault = Vault([NEW])

    with pytest.raises(UnreadableSecretError):
        vault.open("sealed:1:" + rest.format(id=vault.newest), associated_data=ASSOCIATED_DATA)


def test_opened_texts_that_are_long_are_not_kept() -> None:
    vault = Vault([NEW])
    sealed = [
        vault.seal(f"{number}" + "x" * 4000, associated_data="of a header") for number in range(300)
    ]
    tracemalloc.start()
    try:
        for text in sealed:
            assert len(vault.open(text, associated_data="of a header")) > 4000
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < 400_000  # 1,200,000 if they were


def test_a_secret_of_usual_length_is_opened_once() -> None:
    vault = Vault([NEW])
    sealed = vault.seal("whsec_" + "x" * 44, associated_data="of a secret")

    first = vault.open(sealed, associated_data="of a secret")

    assert vault.open(sealed, associated_data="of a secret") is first
