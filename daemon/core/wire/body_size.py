"""The largest request body, and what PostgreSQL may print for one that is within the limit."""

# JSON as PostgreSQL prints it has a space after each comma and colon, and keeps trailing zeros.
PRINTED_PER_BODY = 2
# Larger data, as printed, are not matched against conditions: parsed, they take thirty times that.
MATCHED_BYTES = 8 * 1024 * 1024
UNKNOWN_FROM = 2**60  # sizes from here on stand for data that cannot be measured in time


def too_large_message(size: int, limit: int) -> str:
    """Return the sentence for a body of `size` bytes that is not sent, for its customer."""
    if size >= UNKNOWN_FROM:
        return f"the event cannot be printed within the limit of {limit:,} bytes: it was not sent"
    return f"the body would be {size:,} bytes, and the limit is {limit:,}: it was not sent"
