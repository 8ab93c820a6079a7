"""Secrets at rest: what is sealed opens with its key, in its place, unchanged, and nowhere else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.errors import UnreadableSecretError
from daemon.secrets.vault import MasterKey, Vault, is_sealed

OLD, NEW = "old-" * 10, "new-" * 10
PLACE = "8f14e45f/secret"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(codec="utf-8")))
def test_what_is_sealed_opens_in_its_place(plain: str, place: str) -> None:
    vault = Vault([NEW])

    sealed = vault.seal(plain, place=place)

    assert is_sealed(sealed)
    assert vault.open(sealed, place=place) == plain
    assert Vault([NEW]).open(sealed, place=place) == plain


def test_a_sealed_secret_shows_its_key_s_id_and_nothing_of_the_secret() -> None:
    vault = Vault([NEW])

    once, again = (vault.seal("whsec_canary", place=PLACE) for _ in range(2))

    assert re.fullmatch(rf"sealed:1:{vault.newest}:[A-Za-z0-9+/]+=*", once)
    assert "canary" not in once
    assert once != again


def test_a_key_s_id_is_always_the_same_and_not_a_piece_of_the_key() -> None:
    assert MasterKey.from_setting(OLD).id == MasterKey.from_setting(OLD).id
    assert MasterKey.from_setting(OLD).id != MasterKey.from_setting(NEW).id
    assert re.fullmatch("[0-9a-f]{8}", MasterKey.from_setting("0123456789abcdef" * 2).id)


def test_what_the_application_wrote_plain_is_read_as_it_is() -> None:
    assert Vault().open("whsec_plain", place=PLACE) == "whsec_plain"
    assert Vault([NEW]).open("whsec_plain", place=PLACE) == "whsec_plain"


def test_the_newest_key_seals_and_every_key_opens() -> None:
    before = Vault([OLD]).seal("s", place=PLACE)
    vault = Vault([NEW, OLD])

    after = vault.seal("s", place=PLACE)

    assert (vault.open(before, place=PLACE), vault.open(after, place=PLACE)) == ("s", "s")
    assert vault.newest == Vault([NEW]).newest
    assert Vault([NEW]).open(after, place=PLACE) == "s"


def test_another_row_s_or_another_place_s_secret_does_not_open() -> None:
    vault = Vault([NEW])
    sealed = vault.seal("s", place=PLACE)

    with pytest.raises(UnreadableSecretError, match="belongs to another webhook"):
        vault.open(sealed, place="c9f0f895/secret")


def test_without_its_key_nothing_opens_not_even_what_was_opened_before() -> None:
    vault = Vault([OLD])
    sealed = vault.seal("s", place=PLACE)
    vault.open(sealed, place=PLACE)

    vault.use([NEW])

    with pytest.raises(UnreadableSecretError, match=r"a key that security\.master_keys does not"):
        vault.open(sealed, place=PLACE)


@given(st.data())
def test_no_change_of_a_sealed_text_passes(data: st.DataObject) -> None:
    vault = Vault([NEW])
    sealed = vault.seal("whsec_1234567890", place=PLACE)
    at = data.draw(st.integers(len("sealed:1:"), len(sealed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != sealed[at]))

    with pytest.raises(UnreadableSecretError):
        vault.open(sealed[:at] + other + sealed[at + 1 :], place=PLACE)


@pytest.mark.parametrize(
    "rest", ["", ":", "x", "{id}", "{id}:", "{id}:AAAA", "{id}:é", "{id}:===="]
)
def test_what_only_begins_like_a_sealed_text_does_not_open(rest: str) -> None:
    vault = Vault([NEW])

    with pytest.raises(UnreadableSecretError):
        vault.open("sealed:1:" + rest.format(id=vault.newest), place=PLACE)
