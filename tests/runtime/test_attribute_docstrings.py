"""The texts below the attributes of classes."""

from daemon.runtime.attribute_docstrings import attribute_docstrings


class Shape:
    """A class whose attributes are described, except for one."""

    width: int = 1
    """In metres,
    from left to right."""

    height: int = 1
    colour: str = "none"
    """A name."""

    def area(self) -> int:
        """Not an attribute."""
        return self.width * self.height


class Square(Shape):
    """One that says more of an attribute, and nothing of another that it declares again."""

    height: int = 1
    """As the width."""
    colour: str = "red"


def test_an_attribute_has_the_text_below_it() -> None:
    assert attribute_docstrings(Shape) == {
        "width": "In metres,\nfrom left to right.",
        "colour": "A name.",
    }


def test_a_subclass_inherits_the_texts_of_what_it_does_not_declare_itself() -> None:
    assert attribute_docstrings(Square) == {
        "width": "In metres,\nfrom left to right.",
        "height": "As the width.",
    }
