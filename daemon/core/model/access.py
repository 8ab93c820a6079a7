"""Who may do what with the API: the scopes of tokens."""

from enum import StrEnum


class Scope(StrEnum):
    """What a token permits: everything that its holder's role may do, or reading alone."""

    FULL = "full"
    READ = "read"
