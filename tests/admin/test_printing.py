"""Responses are printed in pieces, and read as if they had been printed at once."""

from datetime import UTC, datetime

import pytest
from pydantic import Field

from daemon.admin.schemas.base import ResponseModel


class Item(ResponseModel):
    """One of a list."""

    own_name: str
    at: datetime | None = None


class Page(ResponseModel):
    """A page with a list."""

    all_items: list[Item]
    names: list[str] = Field(default_factory=list)
    from_: int = Field(default=0, alias="from")
    next: str | None = None


class Nothing(ResponseModel):
    """A response without members."""


AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "response",
    [
        Nothing(),
        Item(own_name='a "quoted" ü', at=AT),
        Page(all_items=[]),
        Page(all_items=[Item(own_name="a")], names=["x"], next="b"),
        Page(all_items=[Item(own_name=str(n), at=AT) for n in range(200)]),
    ],
)
def test_the_pieces_are_the_whole_text(response: ResponseModel) -> None:
    assert b"".join(response.json_pieces()) == response.as_json()


def test_each_item_of_a_list_is_a_piece() -> None:
    page = Page(all_items=[Item(own_name="x" * 100) for _ in range(200)])

    assert max(map(len, page.json_pieces())) < 200
