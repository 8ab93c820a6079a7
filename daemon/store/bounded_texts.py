"""
Texts that the application's role may write at any length, bounded where a statement reads them.

The rule: no statement returns such a text but through `bounded`. Nothing that the daemon or its API
writes is as long as its limit; a text that is far longer is not even read.
"""

# Errors and reasons: the daemon's own are a sentence.
LONGEST_SENTENCE = 2000
LONGEST_DESCRIPTION = 10_000  # as the API takes it
# Of a response's body 16 KiB are kept. Each byte is at most one character; what hides a secret may
# add a few.
LONGEST_RESPONSE = 17 * 1024
# The heads of a request and a response, as they are stored in JSON.
MOST_HEAD_BYTES = 256 * 1024
TOO_LONG = "too long to be shown"


def bounded(column: str, longest: int) -> str:
    """
    SQL: a text column, cut off after so many characters; TOO_LONG in place of one far longer.

    The stored size is measured first, which reads nothing. Of a compressed text PostgreSQL
    decompresses only what is asked for.
    """
    return f"""CASE WHEN pg_catalog.pg_column_size({column}) > {4 * longest + 4}
                THEN '{TOO_LONG}'::text
                ELSE pg_catalog.left({column}, {longest}) END"""
