"""
Compares docs/errors.md with the sentences of the code.

`python -m tests.docs.errors` prints what the page lacks, as rows of its tables, and what it lists
although the code no longer has it.
"""

import re
from collections.abc import Iterator

from tests.docs.sentences import ROOT, in_code, stale_rules

DOCUMENT = ROOT / "docs/errors.md"


def in_document() -> dict[str, int]:
    """Return the first cells of the tables in docs/errors.md that are code, with their lines."""
    listed: dict[str, int] = {}
    for number, line in enumerate(DOCUMENT.read_text().splitlines(), 1):
        row = re.match(r"\| (`+) ?(.+?) ?\1 \|", line)
        if row is not None:
            listed.setdefault(row[2], number)
    return listed


def report() -> str:
    """Return what to add to docs/errors.md and what to remove from it; empty if nothing."""
    return "\n".join([*_additions(), *_removals(), *_corrections()])


def _additions() -> Iterator[str]:
    listed = in_document()
    missing = [each for text, each in sorted(in_code().items()) if text not in listed]
    for heading in dict.fromkeys(each.heading for each in missing):
        yield f"Add to docs/errors.md, under “{heading}”:"
        for each in missing:
            if each.heading == heading:
                yield f"| {_code_span(each.text)} | … | … |   <- {each.place}"


def _removals() -> Iterator[str]:
    code = in_code()
    outdated = {text: line for text, line in in_document().items() if text not in code}
    if outdated:
        yield "Remove from docs/errors.md, because the code no longer has it:"
    for text, line in sorted(outdated.items()):
        yield f"docs/errors.md:{line}: {_code_span(text)}"


def _corrections() -> Iterator[str]:
    stale = stale_rules()
    if stale:
        yield "Correct tests/docs/errors.py, because nothing in daemon/ matches these any more:"
    yield from stale


def _code_span(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


if __name__ == "__main__":
    print(report() or "docs/errors.md has every sentence, and no other.")  # noqa: T201
