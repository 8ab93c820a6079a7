"""Long texts with which a regular expression that backtracks takes the square of their length."""

from collections.abc import Sequence

LONGEST_BODY = 1024 * 1024  # of a request to the API, in bytes


def long_texts(
    length: int = LONGEST_BODY - 1024,
    *,
    starts: Sequence[str] = ("", "a", "https://", "https://a.example/"),
    ends: Sequence[str] = ("", "<", "!\x00", "@a.example>"),
) -> dict[str, str]:
    """Return texts of about `length` bytes by what they are made of."""
    repeated = {
        "blanks": " ",
        "letters": "a",
        "digits": "1",
        "dots": ".",
        "labels": "a.",
        "underscores": "_",
        "hyphens": "-",
        "slashes": "/",
        "quotes": '"',
        "at signs": "@",
        "colons": ":",
        "brackets": "[",
        "angles": "<",
        "closed angles": "<>",
        "tabs": "\t",
        "words": "a b ",
        "schemes": "http://",
        "zeroes": "0x",
        "stars": "*.",
        "lines": "\r\n",
        "camels": "aB",
        "snakes": "a_",
        "accents": "é",
        "ideographs": "漢字.",
        "marks": "a\u0301",
        "soft hyphens": "a\u00ad",
        "joiners": "\u0915\u094d\u200d",
        "ligature": "\ufdfa",
    }
    texts = {
        f"{start}{name}{end}": start + unit * (length // len(unit.encode())) + end
        for name, unit in repeated.items()
        for start in starts
        for end in ends
    }
    distinct = "".join(map(chr, range(0x4E00, 0x9FFF)))
    texts["distinct ideographs"] = distinct[: length // 3]
    return texts
