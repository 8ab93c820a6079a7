"""Refusals are values: the rules of this package return them and never raise."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    Why a URL, an address or a header is refused.

    `reason` is shown to the customer: it names the cause, and the remedy where one is known. It
    begins in lower case and has no full stop, so that callers can put it into a sentence.
    """

    reason: str
