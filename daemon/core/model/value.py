"""
The decorator for classes of values that are made in numbers, several for each delivery.

To the type checker they are frozen dataclasses. At run time nothing enforces that: objects of a
frozen dataclass take twice as long to make, which was a tenth of a delivery.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:

    def value(*, frozen: bool, slots: bool) -> Any:
        """Like `dataclass(frozen=True, slots=True)`, but checked by the type checker alone."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["value"]
