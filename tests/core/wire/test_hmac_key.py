"""A prepared key gives the codes that the standard library gives."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.wire.hmac_key import HmacKey


@given(key=st.binary(max_size=200), messages=st.lists(st.binary(max_size=300), max_size=4))
def test_every_message_has_the_code_of_the_standard_library(
    key: bytes, messages: list[bytes]
) -> None:
    prepared = HmacKey(key)

    found = [prepared.digest(each) for each in messages]

    assert found == [hmac.digest(key, each, "sha256") for each in messages]
