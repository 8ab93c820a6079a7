"""
International domain names in their ASCII form (IDNA 2008 with UTS 46), in bounded time.

Encoding takes the square of a label's length. A label is never shorter in ASCII, so what is too
long for a name is refused before it is encoded.
"""

import re

import idna

LONGEST_NAME = 253  # RFC 1035, section 2.3.4, in its printed form
LONGEST_LABEL = 63

_DOTS = re.compile("[.\u3002\uff0e\uff61]")


def to_ascii(name: str) -> str | None:
    """Return the name in ASCII; None if it has no such form. A name in ASCII stays as it is."""
    if name.isascii():
        return name
    without_final_dot = name[:-1] if _DOTS.match(name[-1]) else name
    if len(without_final_dot) > LONGEST_NAME:
        return None
    if any(len(label) > LONGEST_LABEL for label in _DOTS.split(without_final_dot)):
        return None
    try:
        return idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None
